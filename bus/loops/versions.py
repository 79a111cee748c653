"""Taking over what a lower version of a role decided.

A process whose version is higher than that of a key's newest checkpoint, or of its letters, folds the mail
since that checkpoint and compares with the letters in the log before it writes anything. Equal: it writes
the checkpoint anew as its own, which no process of the lower version folds past. Different: the key stops.
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

        `start.fold` is left as it is: what it folds next is still to be held against what is returned.

        Raises:
            DecisionChanged: this version decides mail otherwise than the log has it; nothing was written.
            NewerVersion: a later version has written here.
            Quarantined: a mail to be compared has killed its process too often.
        """
        position, role = start.fold.position, self._role
        letters = self._believed(start.fold, await self._letters(position + 1))
        if any(version_of(stored) > role.version for stored in letters):
            raise NewerVersion(
                f"{self._key} was decided by a later version of {role.name} than {role.version}"
            )
        if start.version == 0 and all(version_of(stored) == role.version for stored in letters):
            return None
        await self._compare(start.fold.copy(), Earlier(role.name, self._key, letters, seq), seq)
        own = await checkpoints.letter(self._carrier, role, self._key, position, start.fold.snapshot())
        until = await publish_surely(self._carrier, own)
        letters = self._believed(start.fold, await self._letters(position + 1))
        return Earlier(role.name, self._key, letters, until)

    def _believed(self, fold: Fold[Any], letters: Sequence[Stored]) -> list[Stored]:
        """Leave out what names a version that nobody had announced."""
        return [one for one in letters if version_of(one) <= fold.believed(one.seq)]

    async def _compare(self, trial: Fold[Any], earlier: Earlier, seq: int) -> None:
        pattern = mailbox_filter(self._role.name, self._mission)
        behind = Behind(MAIL_STREAM, seq)
        while True:
            start, whole = trial.position + 1, self._mission != "*"
            page = await self._carrier.read(MAIL_STREAM, pattern, start, whole=whole)
            for stored in page:
                if kills(self._deaths, self._role.name, trial, stored):
                    raise Quarantined(self._role.name, self._key, stored.seq)
                earlier.compare(decide(self._deaths, self._role.name, trial, stored))
            if not page and trial.position >= seq:
                return
            if not page:
                await behind.wait()

    async def _letters(self, start: int) -> list[Stored]:
        """Read the letters that the role decided, from a sequence on; what was replayed is not its own."""
        pattern = subjects.mail_filter(self._mission, sender=self._role.name)
        letters = every(self._carrier, MAIL_STREAM, pattern, start, whole=False)
        return [s async for s in letters if "coo-at" in s.headers and "coo-replay-of" not in s.headers]
