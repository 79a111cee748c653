"""The proof behind `coo audit`: the guard's rules and the desk's books, side by side over every prefix."""

from __future__ import annotations

from dataclasses import dataclass, field

from actors.desk.books import Books
from actors.desk.guardmail import Letters, Walk
from actors.ledger import Account, Ledger
from actors.roles.budget import ROLE
from actors.table import TABLE
from bus import burials
from bus.envelope import Outgoing, Stored
from bus.fold import Fold, Role
from bus.subjects import lane_of, parts_of

_ANSWERS = frozenset({"granted", "refused", "raised", "frozen"})


@dataclass
class Proof:
    """What was found. `violations` is empty if everything holds.

    `under_way` counts the mails at the end of the log that the guard has not answered in full yet.
    """

    books: Books
    mails: int = 0
    under_way: int = 0
    violations: list[str] = field(default_factory=list)


def prove(letters: Letters, guard: Role[Ledger] = ROLE) -> Proof:
    """Walk the guard's mail with both ledgers."""
    walk, fold = Walk(letters), Fold[Ledger](TABLE, guard, burials.found_in(letters.mail))
    proof = Proof(walk.books)
    lanes = _newest_by_lane(letters)
    for n, stored in enumerate(letters.mail):
        before = fold.count
        decision = fold.apply(stored)
        if _is_under_way(decision.letters, letters, lanes, stored):
            proof.under_way = len(letters.mail) - n
            break
        stepped = walk.step(stored)
        proof.mails += 1
        if stepped and fold.count > before and decision.dead is None:
            _compare_balances(proof, fold.state, stored)
        _compare_letters(proof, decision.letters, letters, stored)
    proof.violations = [*walk.books.violations, *proof.violations]
    return proof


def _newest_by_lane(letters: Letters) -> dict[str, int]:
    """Return the newest mail that the guard has answered, by mission and addressee: those keep order."""
    newest: dict[str, int] = {}
    for seq, found in letters.decided.items():
        for letter in found:
            newest[lane_of(letter.subject)] = max(newest.get(lane_of(letter.subject), 0), seq)
    return newest


def _is_under_way(
    decided: tuple[Outgoing, ...], letters: Letters, lanes: dict[str, int], stored: Stored
) -> bool:
    """Say whether an answer is missing that the guard may still write: no later one to the same is there."""
    found = {letter.headers.get("ce-id") for letter in letters.decided.get(stored.seq, ())}
    missing = [letter for letter in decided if letter.headers["ce-id"] not in found]
    money = [letter for letter in missing if parts_of(letter.subject).kind in _ANSWERS]
    return any(lanes.get(lane_of(letter.subject), 0) <= stored.seq for letter in money)


def _compare_balances(proof: Proof, ledger: Ledger, stored: Stored) -> None:
    """Compare every account that the guard keeps; a mission that it has dropped must hold nothing."""
    kept: dict[str, Account] = {f"mission:{name}": one.account for name, one in ledger.missions.items()}
    kept |= {f"day:{name}": account for name, account in ledger.days.items()}
    kept |= {f"month:{name}": account for name, account in ledger.months.items()}
    for name, account in kept.items():
        ours = proof.books.accounts[name]
        if (ours.posted, ours.pending) != (account.posted, account.pending):
            proof.violations.append(
                f"message {stored.seq}: {name} has {account.posted} posted and {account.pending} pending at "
                f"the guard, {ours.posted} and {ours.pending} in the books (I18)"
            )
    for name, mission in ledger.missions.items():
        for holder, tokens in mission.tokens.items():
            taken = proof.books.tokens[name, holder]
            if (taken.posted, taken.pending) != (tokens.posted, tokens.pending):
                proof.violations.append(
                    f"message {stored.seq}: the tokens of {holder} in {name} differ (I18)"
                )
        held = sum(hold.microusd for hold in mission.open.values())
        if held != mission.account.pending:
            proof.violations.append(
                f"message {stored.seq}: {name} has {mission.account.pending} pending, holds of {held} (I3)"
            )


def _compare_letters(proof: Proof, decided: tuple[Outgoing, ...], letters: Letters, stored: Stored) -> None:
    """Compare what the guard's rules say to what is in the log."""
    found = {letter.headers.get("ce-id"): letter for letter in letters.decided.get(stored.seq, ())}
    rules = {letter.headers["ce-id"]: letter for letter in decided}
    for letter_id, letter in found.items():
        kind = parts_of(letter.subject).kind
        ruled = rules.get(letter_id or "")
        if kind in _ANSWERS and (ruled is None or not ruled.same_as(letter)):
            proof.violations.append(f"message {letter.seq}: the guard's rules do not say this {kind} (I18)")
    for letter_id, decision in rules.items():
        kind = parts_of(decision.subject).kind
        if kind in _ANSWERS and letter_id not in found:
            proof.violations.append(f"message {stored.seq}: the guard's {kind} is not in the log (I18)")
