"""Taking over what a lower version of a role decided.

A process whose version is higher than that of a key's newest checkpoint, or of its letters, folds the mail
since that checkpoint and compares with the letters in the log before it writes anything. Equal: it writes
the checkpoint anew as its own, which no process of the lower version folds past. Different: the key stops.

What versions below a role's `since` decided is not compared: this version folds their mail for the state,
publishes nothing for it, and writes its checkpoint where they ended.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bus import subjects
from bus.complaints import Decision
from bus.envelope import Stored, decided_at, version_of
from bus.errors import DecisionChanged, NewerVersion, Quarantined
from bus.fold import Fold, Role
from bus.loops import checkpoints
from bus.loops.checkpoints import Start
from bus.loops.poison import Deaths, decide, kills
from bus.loops.publisher import publish_surely
from bus.ports import Behind, Carrier
from bus.reading import every
from bus.subjects import MAIL_STREAM, Wanted, lane_of, mailbox_filter


class Earlier:
    """What a role's letters in the log answer, up to the mail at which a lower version was taken over."""

    def __init__(self, role: str, key: str, letters: Sequence[Stored], until: int) -> None:
        self.until = until
        self._role = role
        self._key = key
        self._by_cause: dict[int, dict[str, Stored]] = {}
        self._lanes: dict[str, int] = {}
        for stored in letters:
            cause = decided_at(stored)
            self._by_cause.setdefault(cause, {}).setdefault(stored.headers.get("ce-id", ""), stored)
            self._lanes[lane_of(stored.subject)] = max(self._lanes.get(lane_of(stored.subject), 0), cause)

    def compare(self, decision: Decision) -> None:
        """Compare a decision with the log. A letter that is not there may still have been on its way.

        Raises:
            DecisionChanged: the log has another letter, one more, or lacks one where it has later ones.
        """
        at = decision.stored.seq
        found = dict(self._by_cause.get(at, {}))
        for letter in decision.letters:
            stored = found.pop(letter.headers["ce-id"], None)
            if stored is not None and not letter.same_as(stored):
                raise DecisionChanged(self._role, self._key, stored.seq, at, version_of(stored))
            if stored is None and self._lanes.get(lane_of(letter.subject), 0) > at:
                raise DecisionChanged(self._role, self._key, at, at)
        for stored in found.values():
            raise DecisionChanged(self._role, self._key, stored.seq, at, version_of(stored))


class Predecessor:
    """A lower version of a role, and what it has decided for one key; `mission` is `ANY` for the company."""

    def __init__(self, carrier: Carrier, role: Role[Any], key: str, mission: Wanted, deaths: Deaths) -> None:
        self._carrier = carrier
        self._role = role
        self._key = key
        self._mission = mission
        self._deaths = deaths

    async def take_over(self, start: Start, seq: int) -> Earlier | None:
        """Compare what this version decides with the log, for all mail up to `seq` at least; None: it agrees.

        `start.fold` is brought to where versions ended whose decisions stand, and left there: what it folds
        next is still to be held against what is returned.

        Raises:
            DecisionChanged: this version decides mail otherwise than the log has it; nothing was written.
            NewerVersion: a later version has written here.
            Quarantined: a mail to be compared has killed its process too often.
        """
        role, fold = self._role, start.fold
        letters = await self._letters(fold)
        if start.version == 0 and all(version_of(stored) == role.version for stored in letters):
            return None
        while True:
            stands_to = max((decided_at(one) for one in letters if version_of(one) < role.since), default=0)
            await self._pass(fold, stands_to)
            held = [one for one in letters if version_of(one) >= role.since]
            await self._compare(fold.copy(), Earlier(role.name, self._key, held, seq), seq)
            own = await checkpoints.letter(self._carrier, role, self._key, fold.position, fold.snapshot())
            until = await publish_surely(self._carrier, own)
            letters = await self._letters(fold)
            if all(decided_at(one) <= fold.position for one in letters if version_of(one) < role.since):
                held = [one for one in letters if version_of(one) >= role.since]
                return Earlier(role.name, self._key, held, until)

    async def _letters(self, fold: Fold[Any]) -> list[Stored]:
        """Read what the role has decided after a fold, without what names a version nobody had announced.

        Raises:
            NewerVersion: a later version is among it.
        """
        written = await self._written(fold.position + 1)
        letters = [one for one in written if version_of(one) <= fold.believed(one.seq)]
        if any(version_of(stored) > self._role.version for stored in letters):
            raise NewerVersion(
                f"{self._key} was decided by a later version of {self._role.name} than {self._role.version}"
            )
        return letters

    async def _pass(self, fold: Fold[Any], until: int) -> None:
        """Fold mail up to a sequence, for the state alone."""
        while fold.position < until:
            page = await self._page(fold)
            if not page:
                return
            for stored in (one for one in page if one.seq <= until):
                self._apply(fold, stored)
            if page[-1].seq > until:
                return

    def _apply(self, fold: Fold[Any], stored: Stored) -> Decision:
        if kills(self._deaths, self._role.name, fold, stored):
            raise Quarantined(self._role.name, self._key, stored.seq)
        return decide(self._deaths, self._role.name, fold, stored)

    async def _page(self, fold: Fold[Any]) -> list[Stored]:
        pattern = mailbox_filter(self._role.name, self._mission)
        whole = self._mission != "*"
        return await self._carrier.read(MAIL_STREAM, pattern, fold.position + 1, whole=whole)

    async def _compare(self, trial: Fold[Any], earlier: Earlier, seq: int) -> None:
        behind = Behind(MAIL_STREAM, seq)
        while True:
            page = await self._page(trial)
            for stored in page:
                earlier.compare(self._apply(trial, stored))
            if not page and trial.position >= seq:
                return
            if not page:
                await behind.wait()

    async def _written(self, start: int) -> list[Stored]:
        """Read the letters that the role decided, from a sequence on; what was replayed is not its own."""
        pattern = subjects.mail_filter(self._mission, sender=self._role.name)
        letters = every(self._carrier, MAIL_STREAM, pattern, start, whole=False)
        return [s async for s in letters if "coo-at" in s.headers and "coo-replay-of" not in s.headers]
