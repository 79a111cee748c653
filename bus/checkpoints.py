"""Checkpoints: a fold's state as mail to its own mailbox. There is no other snapshot."""

from __future__ import annotations

import asyncio
from typing import Any, NamedTuple

import msgspec

from bus import blobs, burials, subjects
from bus.envelope import MAX_BODY_BYTES, MAX_DEPTH, Outgoing, Stored, base_headers, depth_of, digest, encode
from bus.errors import BuriedLater, NewerVersion
from bus.fold import Fold, Role
from bus.ports import Behind, Carrier
from bus.subjects import ANY, MAIL_STREAM
from bus.table import CHECKPOINT, Checkpoint, Table


class Start(NamedTuple):
    """Where a fold begins: at a checkpoint, whose version may be a lower one, or at nothing (version 0)."""

    fold: Fold[Any]
    version: int


async def load(carrier: Carrier, table: Table, role: Role[Any], key: str) -> Start:
    """Return a key's fold as its newest checkpoint has it, else one that has seen nothing.

    It knows the key's burials; a checkpoint that was made before one of them is left out. A state of a lower
    version is read as one of this version: a state only ever grows, by fields with defaults. One that cannot
    be read so is left out, too, and the fold begins at nothing.

    Raises:
        NewerVersion: a later version of this role has written here.
        BlobMismatch: the checkpoint's blob is not there.
    """
    mission = ANY if table.mailbox(role.name).per == "company" else key
    newest, buried = await asyncio.gather(
        _newest(carrier, role.name, key), burials.read(carrier, role.name, mission)
    )
    fold: Fold[Any] = Fold(table, role, buried)
    if newest is None:
        return Start(fold, 0)
    if newest.version > role.version:
        raise NewerVersion(f"{key} was decided by version {newest.version} of {role.name}")
    content = await blobs.get(carrier, newest.blob) if newest.blob else bytes(newest.fold)
    try:  # what cannot be restored leaves the fold as it was
        fold.restore(newest, content)
    except BuriedLater:
        pass
    except msgspec.ValidationError:
        if newest.version == role.version:
            raise
    return Start(fold, newest.version)


async def _newest(carrier: Carrier, role: str, key: str) -> Checkpoint | None:
    """Return the checkpoint with the greatest (version, position).

    The last in the log may be a late one of a process that stood still. A greater one can only stand
    behind the last one's position: no checkpoint is written before its position, and no fold passes the
    checkpoint of a higher version.
    """
    subject = subjects.mail(key, role, CHECKPOINT, role)
    last = await carrier.last(MAIL_STREAM, subject)
    if last is None:
        return None
    newest = _decode(last)
    read_to = newest.position
    behind = Behind(MAIL_STREAM, last.seq)
    while read_to < last.seq:
        page = await carrier.read(MAIL_STREAM, subjects.only(subject), read_to + 1)
        if not page:
            await behind.wait()
        for stored in page:
            newest = max(newest, _decode(stored), key=lambda one: (one.version, one.position))
            read_to = stored.seq
    return newest


def read(stored: Stored) -> Checkpoint | None:
    """Return the checkpoint in a message, None if it is none or cannot be read."""
    if subjects.parts_of(stored.subject).kind != CHECKPOINT or depth_of(stored.body) > MAX_DEPTH:
        return None
    try:
        return msgspec.json.decode(stored.body, type=Checkpoint)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def _decode(stored: Stored) -> Checkpoint:
    return msgspec.json.decode(stored.body, type=Checkpoint)


async def letter(carrier: Carrier, role: Role[Any], key: str, position: int, fold: bytes) -> Outgoing:
    """Make the checkpoint of a snapshot; one too big for a body is stored as a blob first."""
    checkpoint = Checkpoint(version=role.version, position=position, fold=msgspec.Raw(fold))
    if len(fold) > MAX_BODY_BYTES // 2:
        ref = await blobs.put(carrier, role.name, fold)
        checkpoint = Checkpoint(version=role.version, position=position, blob=ref)
    checkpoint_id = digest("checkpoint", key, role.name, role.version, position)
    headers = base_headers(checkpoint_id, role.name, CHECKPOINT, carrier.now_ns())
    return Outgoing(subjects.mail(key, role.name, CHECKPOINT, role.name), headers, encode(checkpoint))
