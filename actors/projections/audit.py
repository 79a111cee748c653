"""The proof behind `coo audit`: the guard's rules and the desk's books, side by side over every prefix."""

from __future__ import annotations

from dataclasses import dataclass, field

import msgspec

from actors.projections.books import Books
from actors.projections.guard import Letters, TakeOver, Walk
from actors.roles.budget.ledger import Account, Ledger
from actors.roles.budget.role import ROLE
from actors.table import TABLE
from bus.envelope import Outgoing, Stored
from bus.errors import BuriedLater
from bus.fold import Fold, Role
from bus.loops import burials
from bus.subjects import lane_of, parts_of
from bus.table import Checkpoint

_ANSWERS = frozenset({"granted", "refused", "raised", "frozen"})


@dataclass
class Proof:
    """What was found. `violations` is empty if everything holds.

    `under_way` counts the messages at the end of the log that the guard has not answered in full, `earlier`
    those that lower versions decided otherwise than these rules do: they are proven by the books alone.
    """

    books: Books
    messages: int = 0
    under_way: int = 0
    earlier: int = 0
    violations: list[str] = field(default_factory=list)


def prove(letters: Letters, guard: Role[Ledger] = ROLE) -> Proof:
    """Walk the guard's mail with both ledgers: each letter of the log must be what the rules say there.

    What lower versions decided is held against these rules as far as they agree, and from there on against
    the books alone, up to the checkpoint at which this version took over with their state.
    """
    walk, fold = Walk(letters), Fold[Ledger](TABLE, guard, burials.found_in(letters.mail))
    proof = Proof(walk.books)
    lanes: dict[str, int] | None = None
    until, taken_over = letters.before(guard.version)
    of_lower = letters.of_lower(guard.version) if until else {}
    for n, stored in enumerate(letters.mail):
        if taken_over is not None and stored.seq > until:
            if proof.earlier:
                _restore(proof, fold, taken_over)
            taken_over = None
        before = fold.count
        decision = fold.apply(stored)
        is_older = stored.seq <= until
        found = letters.decided.get(stored.seq, [])
        if not is_older and (missing := _missing(decision.letters, found)):
            lanes = lanes if lanes is not None else _answered_in(fold.copy(), letters, letters.mail[n + 1 :])
            if any(lanes.get(lane_of(letter.subject), 0) <= stored.seq for letter in missing):
                proof.under_way = len(letters.mail) - n
                break
        if is_older:
            found = _believed(proof, decision.letters, found, of_lower.get(stored.seq, []))
        stepped = walk.step(stored, letters=found) if is_older else walk.step(stored, decision)
        proof.messages += 1
        wrong: list[str] = []
        if stepped and fold.count > before and decision.dead is None:
            wrong += _compare_balances(walk.books, fold.state, stored)
        wrong += _compare_letters(decision.letters, found, stored)
        if is_older and (wrong or proof.earlier):
            proof.earlier += 1
        else:
            proof.violations += wrong
    proof.violations += _answers_to_nothing(letters)
    proof.violations = [*walk.books.violations, *proof.violations]
    return proof


def _restore(proof: Proof, fold: Fold[Ledger], one: TakeOver) -> None:
    """Go on from where this version took over; a checkpoint that cannot be read is a violation."""
    try:
        fold.restore(Checkpoint(version=one.version, position=one.position), one.snapshot)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, BuriedLater) as error:
        proof.violations.append(f"the checkpoint of version {one.version} cannot be read: {error} (I18)")


def _ruled(decided: tuple[Outgoing, ...], found: list[Stored]) -> list[Stored]:
    """Return the letters on a mail that the guard's rules say, each once."""
    rules = {letter.headers["ce-id"]: letter for letter in decided}
    ruled: dict[str, Stored] = {}
    for letter in found:
        rule = rules.get(letter.headers.get("ce-id", ""))
        if rule is not None and rule.same_as(letter):
            ruled.setdefault(letter.headers["ce-id"], letter)
    return list(ruled.values())


def _believed(
    proof: Proof, decided: tuple[Outgoing, ...], found: list[Stored], of_lower: list[Stored]
) -> list[Stored]:
    """Return the letters on a mail that the rules say or a lower version can have said; name the others."""
    believed = [*_ruled(decided, found), *of_lower]
    proof.violations += _of_no_version(found, believed)
    return believed


def _of_no_version(found: list[Stored], believed: list[Stored]) -> list[str]:
    """Name the answers that no version of the guard can have given."""
    known = {(letter.headers.get("ce-id"), letter.subject, letter.body) for letter in believed}
    return [
        f"message {letter.seq}: no version of the guard says this {parts_of(letter.subject).kind} (I18)"
        for letter in found
        if parts_of(letter.subject).kind in _ANSWERS
        and (letter.headers.get("ce-id"), letter.subject, letter.body) not in known
    ]


def _missing(decided: tuple[Outgoing, ...], found: list[Stored]) -> list[Outgoing]:
    """Return the answers that are not in the log; another letter under its id takes an answer's place."""
    taken = {letter.headers.get("ce-id") for letter in found}
    return [
        letter
        for letter in decided
        if letter.headers["ce-id"] not in taken and parts_of(letter.subject).kind in _ANSWERS
    ]


def _answered_in(fold: Fold[Ledger], letters: Letters, rest: list[Stored]) -> dict[str, int]:
    """Return the newest mail that the guard has answered, by mission and addressee: those keep order.

    A missing answer may still be written unless a later one to the same is there.
    """
    newest: dict[str, int] = {}
    for stored in rest:
        for letter in _ruled(fold.apply(stored).letters, letters.decided.get(stored.seq, [])):
            newest[lane_of(letter.subject)] = stored.seq
    return newest


def _answers_to_nothing(letters: Letters) -> list[str]:
    """Name the guard's answers that stand at no mail of its."""
    mail = {stored.seq for stored in letters.mail}
    wrong: list[str] = []
    for at, found in letters.decided.items():
        for letter in found if at not in mail else ():
            kind = parts_of(letter.subject).kind
            if kind in _ANSWERS:
                wrong.append(f"message {letter.seq}: this {kind} answers no mail (I18)")
    return wrong


def _compare_balances(books: Books, ledger: Ledger, stored: Stored) -> list[str]:
    """Compare every account that the guard keeps; a mission that it has dropped must hold nothing."""
    wrong: list[str] = []
    kept: dict[str, Account] = {f"mission:{name}": one.account for name, one in ledger.missions.items()}
    kept |= {f"day:{name}": account for name, account in ledger.days.items()}
    kept |= {f"month:{name}": account for name, account in ledger.months.items()}
    for name, account in kept.items():
        ours = books.accounts[name]
        if (ours.posted, ours.pending) != (account.posted, account.pending):
            wrong.append(
                f"message {stored.seq}: {name} has {account.posted} posted and {account.pending} pending at "
                f"the guard, {ours.posted} and {ours.pending} in the books (I18)"
            )
    for name, mission in ledger.missions.items():
        for holder, tokens in mission.tokens.items():
            taken = books.tokens[name, holder]
            if (taken.posted, taken.pending) != (tokens.posted, tokens.pending):
                wrong.append(f"message {stored.seq}: the tokens of {holder} in {name} differ (I18)")
        held = sum(hold.microusd for hold in mission.open.values())
        if held != mission.account.pending:
            wrong.append(
                f"message {stored.seq}: {name} has {mission.account.pending} pending, holds of {held} (I3)"
            )
    return wrong


def _compare_letters(decided: tuple[Outgoing, ...], found: list[Stored], stored: Stored) -> list[str]:
    """Compare what the guard's rules say to what is in the log."""
    wrong: list[str] = []
    rules = {letter.headers["ce-id"]: letter for letter in decided}
    for letter in found:
        kind, rule = parts_of(letter.subject).kind, rules.get(letter.headers.get("ce-id", ""))
        if kind in _ANSWERS and (rule is None or not rule.same_as(letter)):
            wrong.append(f"message {letter.seq}: the guard's rules do not say this {kind} (I18)")
    for missing in _missing(decided, found):
        kind = parts_of(missing.subject).kind
        wrong.append(f"message {stored.seq}: the guard's {kind} is not in the log (I18)")
    return wrong
