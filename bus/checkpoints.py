"""Checkpoints: a fold's state as mail to its own mailbox. There is no other snapshot."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

import msgspec

from bus import blobs, burials, subjects
from bus.envelope import MAX_BODY_BYTES, Outgoing, base_headers, digest, encode
from bus.errors import BuriedLater, NewerVersion
from bus.fold import Fold, Role
from bus.ports import Carrier
from bus.subjects import MAIL_STREAM
from bus.table import CHECKPOINT, Checkpoint, Table


async def load(carrier: Carrier, table: Table, role: Role[Any], key: str) -> Fold[Any]:
    """Return a key's fold as its last checkpoint has it, else one that has seen nothing.

    It knows the key's burials. Any checkpoint of this version is right, since reading goes on from its
    position: an older one only costs a longer read.

    Raises:
        NewerVersion: a later version of this role has written here.
        BlobMismatch: the checkpoint's blob is not there.
    """
    mission = "*" if table.mailbox(role.name).per == "company" else key
    last, buried = await asyncio.gather(
        carrier.last(MAIL_STREAM, subjects.mail(key, role.name, CHECKPOINT, role.name)),
        burials.read(carrier, role.name, mission),
    )
    fold: Fold[Any] = Fold(table, role, buried)
    if last is None:
        return fold
    checkpoint = msgspec.json.decode(last.body, type=Checkpoint)
    if checkpoint.version > role.version:
        raise NewerVersion(f"{key} was decided by version {checkpoint.version} of {role.name}")
    if checkpoint.version == role.version:
        blob = checkpoint.blob
        content = await blobs.get(carrier, blob) if blob else bytes(checkpoint.fold)
        with suppress(BuriedLater):  # then from the first mail on
            fold.restore(checkpoint, content)
    return fold


async def letter(carrier: Carrier, role: Role[Any], key: str, position: int, fold: bytes) -> Outgoing:
    """Make the checkpoint of a snapshot; one too big for a body is stored as a blob first."""
    checkpoint = Checkpoint(version=role.version, position=position, fold=msgspec.Raw(fold))
    if len(fold) > MAX_BODY_BYTES // 2:
        ref = await blobs.put(carrier, role.name, fold)
        checkpoint = Checkpoint(version=role.version, position=position, blob=ref)
    checkpoint_id = digest("checkpoint", key, role.name, role.version, position)
    headers = base_headers(checkpoint_id, role.name, CHECKPOINT, carrier.now_ns())
    return Outgoing(subjects.mail(key, role.name, CHECKPOINT, role.name), headers, encode(checkpoint))
