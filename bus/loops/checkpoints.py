"""Checkpoints: a fold's state as mail to its own mailbox. There is no other snapshot."""

from __future__ import annotations

import asyncio
from typing import Any, NamedTuple

import msgspec

from bus import blobs, subjects
from bus.dataref import MAX_BODY_BYTES
from bus.envelope import Outgoing, Stored, base_headers, digest, encode, open_mail, readable
from bus.errors import BadMail, BlobMismatch, BuriedLater, NewerVersion
from bus.fold import Fold, Role
from bus.loops import burials, releases
from bus.ports import Behind, Carrier
from bus.structured import structlog
from bus.subjects import ANY, MAIL_STREAM
from bus.table import CHECKPOINT, Checkpoint, Table

log = structlog.get_logger("bus")


class Start(NamedTuple):
    """Where a fold begins: at a checkpoint, whose version may be a lower one, or at nothing (version 0)."""

    fold: Fold[Any]
    version: int


async def load(carrier: Carrier, table: Table, role: Role[Any], key: str) -> Start:
    """Return a key's fold as its newest checkpoint has it, else one that has seen nothing.

    It knows the key's burials and the role's announced versions. A state of a lower version is read as one
    of this version (a state only ever grows, by fields with defaults), down to the role's `since`. A
    checkpoint that cannot be one, was buried, was made before a burial or cannot be restored is left out;
    then the one before it counts.

    Raises:
        NewerVersion: a later version of this role, which was announced, has written here.
    """
    mission = ANY if table.mailbox(role.name).per == "company" else key
    buried, announced = await asyncio.gather(
        burials.read(carrier, role.name, mission), releases.read(carrier, role.name)
    )
    fold: Fold[Any] = Fold(table, role, buried, announced)
    newest = 0
    for everything in (False, True):
        claims = await _claims(carrier, table, fold, role.name, key, everything)
        if claims is None:
            break
        newest = max(newest, *(claim.version for claim in claims), 0)
        if newest > role.version:
            raise NewerVersion(f"{key} was decided by version {newest} of {role.name}")
        for claim in claims:
            if role.since <= claim.version == newest and await _restored(carrier, fold, claim, key):
                return Start(fold, newest)
    return Start(fold, newest)


async def _restored(carrier: Carrier, fold: Fold[Any], claim: Checkpoint, key: str) -> bool:
    try:  # what cannot be restored leaves the fold as it was
        fold.restore(claim, await content_of(carrier, claim))
    except (BuriedLater, BlobMismatch, msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        log.warning("checkpoint.left_out", key=key, position=claim.position, error=str(error))
        return False
    return True


async def _claims(
    carrier: Carrier, table: Table, fold: Fold[Any], role: str, key: str, everything: bool
) -> list[Checkpoint] | None:
    """Return checkpoints of a key, the greatest (version, position) first; None if nobody wrote any.

    The last in the log may be a late one of a process that stood still. A greater one can only stand
    behind the last one's position: no checkpoint is written before its position, and no fold passes the
    checkpoint of a higher version.
    """
    subject = subjects.mail(key, role, CHECKPOINT, role)
    last = await carrier.last(MAIL_STREAM, subject)
    if last is None:
        return None
    claim = opened(table, fold, last)
    claims = [] if claim is None or everything else [claim]
    read_to = claim.position if claims and claim is not None else 0
    behind = Behind(MAIL_STREAM, last.seq)
    while read_to < last.seq:
        page = await carrier.read(MAIL_STREAM, subjects.only(subject), read_to + 1)
        if not page:
            await behind.wait()
        for stored in page:
            claims += [found] if (found := opened(table, fold, stored)) is not None else []
            read_to = stored.seq
    return sorted(claims, key=lambda one: (one.version, one.position), reverse=True)


def read(table: Table, stored: Stored) -> Checkpoint | None:
    """Return the checkpoint in a message, None if it is none or cannot be read."""
    mail = readable(table, stored)
    return mail.message if mail is not None and isinstance(mail.message, Checkpoint) else None


def opened(table: Table, fold: Fold[Any], stored: Stored) -> Checkpoint | None:
    """Return a checkpoint that may be one, as far as that is seen in it; None if it cannot, or was buried."""
    if stored.seq in fold.buried:
        return None
    try:
        message = open_mail(table, stored, stored.time_ns).message
        if isinstance(message, Checkpoint):
            fold.check_checkpoint(stored, message)
            return message
    except BadMail:
        pass  # the fold says so, with the reason, where it comes to it
    return None


async def content_of(carrier: Carrier, checkpoint: Checkpoint) -> bytes:
    """Return the state in a checkpoint, wherever it was stored.

    Raises:
        BlobMismatch: its blob is not there.
    """
    return await blobs.get(carrier, checkpoint.blob) if checkpoint.blob else bytes(checkpoint.fold)


async def letter(carrier: Carrier, role: Role[Any], key: str, position: int, fold: bytes) -> Outgoing:
    """Make the checkpoint of a role's snapshot."""
    checkpoint_id = digest("checkpoint", key, role.name, role.version, position)
    return await make(carrier, role.name, role.version, key, position, fold, checkpoint_id)


async def make(
    carrier: Carrier, mailbox: str, version: int, key: str, position: int, fold: bytes, checkpoint_id: str
) -> Outgoing:
    """Make a mailbox's checkpoint; a state too big for a body is stored as a blob first."""
    checkpoint = Checkpoint(version=version, position=position, fold=msgspec.Raw(fold))
    if len(fold) > MAX_BODY_BYTES // 2:
        ref = await blobs.put(carrier, mailbox, fold)
        checkpoint = Checkpoint(version=version, position=position, blob=ref)
    headers = base_headers(checkpoint_id, mailbox, CHECKPOINT, carrier.now_ns())
    return Outgoing(subjects.mail(key, mailbox, CHECKPOINT, mailbox), headers, encode(checkpoint))
