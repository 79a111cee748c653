"""What verifying and auditing a log with forged messages in it must blame: those, and no other."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress

import msgspec

from actors.chaos.adversary import NEW_ID
from actors.table import TABLE
from bus import subjects
from bus.envelope import Stored
from bus.loops import checkpoints
from bus.table import CHECKPOINT

SPARED, NAMED = "m-1", "m-2"
"""In the simulation: the mission that the adversary does not name, and the one that is its playground."""


def misnamed(log: Sequence[Stored], forged: Collection[int], found: Mapping[int, str]) -> str:
    """Return what a verification did wrong on a log in which these sequences are forged, "" for nothing.

    A forgery that says the very same as an honest message changes nothing, nor does a checkpoint of position
    0 with the state that a role begins with. One of a performer under an id that its order gives it stands
    for its answer: what the world said is not folded. What a role decided on from a forged checkpoint of its
    own is not explained either, whoever wrote it.
    """
    misled = misled_in(log, forged)
    for seq in sorted(found.keys() - set(forged)):
        stored = log[seq - 1]
        if misled.get(_author(stored), seq) >= seq and not _may_differ(stored, found[seq]):
            return f"named although honest: {seq} {stored.subject}: {found[seq]}"
    honest = {_said(stored) for stored in log if stored.seq not in forged}
    for seq in sorted(set(forged) - found.keys()):
        if _said(log[seq - 1]) not in honest and not _changes_nothing(log[seq - 1]):
            return f"forged and not named: {log[seq - 1]}"
    return ""


def misled_in(log: Sequence[Stored], forged: Collection[int]) -> dict[tuple[str, str], int]:
    """Return from where on a role may have believed a forged checkpoint, by role and mission."""
    claims = [log[seq - 1] for seq in sorted(forged, reverse=True) if _is_checkpoint(log[seq - 1])]
    return {_author(stored): stored.seq for stored in claims}


def _may_differ(stored: Stored, why: str) -> bool:
    """Say whether a second process of a performer, which had stood still, found another answer meanwhile.

    Where nobody forges what an answer is made of, both find the same.
    """
    parts = subjects.parts_of(stored.subject)
    is_second = why.startswith(("the id of message", "a second answer"))
    return is_second and parts.mission != SPARED and bool(TABLE.mailbox(parts.sender).orders)


def _said(stored: Stored) -> tuple[str, bytes, str]:
    """Return what a message says; a checkpoint is true or not, whatever it names as its cause.

    That of nothing at all is the same for every mission.
    """
    if (claim := checkpoints.read(TABLE, stored)) is not None:
        with suppress(msgspec.DecodeError, UnicodeDecodeError):  # the fold in it may be any bytes
            told = msgspec.json.encode(msgspec.json.decode(msgspec.json.encode(claim)), order="sorted")
            return subjects.parts_of(stored.subject).sender, told, ""
    return stored.subject, stored.body, stored.headers.get("coo-cause", "")


def _is_checkpoint(stored: Stored) -> bool:
    return subjects.parts_of(stored.subject).kind == CHECKPOINT


def _author(stored: Stored) -> tuple[str, str]:
    parts = subjects.parts_of(stored.subject)
    return parts.sender, parts.mission


def _changes_nothing(stored: Stored) -> bool:
    checkpoint = checkpoints.read(TABLE, stored)
    if checkpoint is not None:
        return checkpoint.position == 0  # and not named: it is true, as one of a version that takes over
    return _may_stand_for_an_answer(stored)


def _may_stand_for_an_answer(stored: Stored) -> bool:
    address = subjects.address_of(stored.subject)
    is_new = stored.headers.get("ce-id", "").startswith(NEW_ID)
    return address is not None and bool(TABLE.mailbox(address.sender).orders) and not is_new


_MESSAGE = re.compile(r"message (\d+): ")


def blamed(violations: Sequence[str], forged: Collection[int]) -> str:
    """Return a violation that blames a message which is not forged, "" if there is none."""
    for violation in violations:
        found = _MESSAGE.match(violation)
        if found is None or int(found[1]) not in forged:
            return f"a violation that the adversary did not write: {violation}"
    return ""
