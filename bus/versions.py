"""Taking over what a lower version of a role decided.

A process whose version is higher than that of a key's newest checkpoint, or of its letters, folds the mail
since that checkpoint and compares with the letters in the log before it writes anything. Equal: it writes
the checkpoint anew as its own, which no process of the lower version folds past. Different: the key stops.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from bus import checkpoints, subjects
from bus.checkpoints import Start
from bus.envelope import Outgoing, Stored
from bus.errors import DecisionChanged, NewerVersion
from bus.fold import Decision, Role
from bus.ports import BEHIND_S, Carrier
from bus.publisher import publish_surely
from bus.subjects import MAIL_STREAM, mailbox_filter


class Earlier:
    """What a role's letters in the log answer, up to the mail at which a lower version was taken over."""

    def __init__(self, role: str, key: str, letters: Sequence[Stored], until: int) -> None:
        self.until = until
        self._role = role
        self._key = key
        self._by_cause: dict[int, dict[str, Stored]] = {}
        self._lanes: dict[str, int] = {}
        for stored in letters:
            cause = int(stored.headers["coo-at"])
            self._by_cause.setdefault(cause, {}).setdefault(stored.headers["ce-id"], stored)
            self._lanes[_lane(stored)] = max(self._lanes.get(_lane(stored), 0), cause)

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
            if stored is None and self._lanes.get(_lane(letter), 0) > at:
                raise DecisionChanged(self._role, self._key, at, at)
        for stored in found.values():
            raise DecisionChanged(self._role, self._key, stored.seq, at, version_of(stored))


def version_of(stored: Stored) -> int:
    """Return the version of the role that wrote a letter, 0 where it does not say."""
    return int(stored.headers.get("coo-version", 0))


def _lane(message: Stored | Outgoing) -> str:
    return message.subject.rsplit(".", 2)[0]


async def take_over(
    carrier: Carrier, role: Role[Any], key: str, mission: str, start: Start, seq: int
) -> Earlier | None:
    """Compare what this version decides with the log, for all mail up to `seq` at least; nothing to do: None.

    `start.fold` is left as it is: what it folds next is still to be held against what is returned.

    Raises:
        DecisionChanged: this version decides mail otherwise than the log has it; nothing was written.
        NewerVersion: a later version has written here.
    """
    position = start.fold.position
    letters = await _letters(carrier, role.name, mission, position + 1)
    if any(version_of(stored) > role.version for stored in letters):
        raise NewerVersion(f"{key} was decided by a later version of {role.name} than {role.version}")
    if start.version == 0 and all(version_of(stored) == role.version for stored in letters):
        return None
    earlier, trial = Earlier(role.name, key, letters, seq), start.fold.copy()
    pattern = mailbox_filter(role.name, mission)
    while (page := await carrier.read(MAIL_STREAM, pattern, trial.position + 1)) or trial.position < seq:
        for stored in page:
            earlier.compare(trial.apply(stored))
        if not page:
            await asyncio.sleep(BEHIND_S)
    own = await checkpoints.letter(carrier, role, key, position, start.fold.snapshot())
    until = await publish_surely(carrier, own)
    return Earlier(role.name, key, await _letters(carrier, role.name, mission, position + 1), until)


async def _letters(carrier: Carrier, role: str, mission: str, start: int) -> list[Stored]:
    """Read the letters that a role decided, from a sequence on; what an operator replayed is not its own."""
    found: list[Stored] = []
    while page := await carrier.read(MAIL_STREAM, subjects.mail(mission, "*", "*", role), start):
        found += (s for s in page if "coo-at" in s.headers and "coo-replay-of" not in s.headers)
        start = page[-1].seq + 1
    return found
