"""Blobs: files by content, in chunks that the broker lets nobody change or delete.

A reference is (owner, digest, size): the owner's name is part of the subject, so nobody can occupy
another's digest. What is read is checked against the reference.

A letter may stand for a blob (`bus.dataref`). The blob is stored before it; one that is not there when the
letter comes never counts, so that every fold decides alike, whenever it reads.
"""

from __future__ import annotations

import asyncio
import hashlib

import msgspec

from bus import subjects
from bus.acked import acked
from bus.dataref import is_dataref, ref_in
from bus.envelope import Outgoing, Stored
from bus.errors import BadMail, BlobMismatch, NotAToken, Occupied
from bus.ports import Carrier
from bus.subjects import BLOB_STREAM, Subject
from bus.table import Ref

CHUNK_BYTES = 512 * 1024
MAX_BLOB_BYTES = 64 * 1024 * 1024
"""More is refused before it is read, so that a reference cannot make a reader collect gigabytes."""

_LATE_S = 5.0
"""How much later than its letter a blob may be by the log's times: as far as two servers' clocks differ."""

_AGAIN_S = 0.25
_PAGE_BYTES = 2 * 1024 * 1024


async def put(carrier: Carrier, owner: str, content: bytes) -> Ref:
    """Store content and return its reference, acked by the server. Storing it again is harmless.

    Raises:
        BlobMismatch: the subject holds other bytes, which only the owner itself can have put there.
    """
    if len(content) > MAX_BLOB_BYTES:
        raise BlobMismatch(f"a blob of {len(content)} bytes is above {MAX_BLOB_BYTES}")
    digest = hashlib.sha256(content).hexdigest()
    for n, start in enumerate(range(0, len(content), CHUNK_BYTES)):
        chunk = content[start : start + CHUNK_BYTES]
        await _put_chunk(carrier, subjects.blob_chunk(owner, digest, n), chunk)
    return Ref(owner=owner, digest=digest, size=len(content))


async def _put_chunk(carrier: Carrier, subject: Subject, chunk: bytes) -> None:
    message = Outgoing(subject, {}, chunk)  # an id could be occupied; a subject is the owner's own
    try:
        await acked(carrier, message)
    except Occupied:
        stored = await carrier.last(BLOB_STREAM, subject)
        if stored is None or stored.body != chunk:
            raise BlobMismatch(f"{subject} holds other bytes") from None


def chunks_of(ref: Ref) -> list[Subject]:
    """Return where the chunks of a blob are, in order.

    Raises:
        BlobMismatch: the reference is one that nobody can have been given.
    """
    if not 0 <= ref.size <= MAX_BLOB_BYTES:
        raise BlobMismatch(f"a blob of {ref.size} bytes is above {MAX_BLOB_BYTES}")
    try:
        return [subjects.blob_chunk(ref.owner, ref.digest, n) for n in range(-(-ref.size // CHUNK_BYTES))]
    except NotAToken as error:
        raise BlobMismatch(f"not the reference of a blob: {error}") from error


async def before(carrier: Carrier, message: Outgoing) -> None:
    """Store what a message's body stands for, acked by the server: what `publish` does first."""
    if message.content:
        await put(carrier, subjects.parts_of(message.subject).sender, message.content)


async def get(carrier: Carrier, ref: Ref) -> bytes:
    """Return a blob's content.

    Raises:
        BlobMismatch: missing, or not the bytes that the reference names.
    """
    return _joined(ref, await _chunks(carrier, ref))


async def _chunks(carrier: Carrier, ref: Ref) -> list[Stored]:
    """Return the chunks of a blob up to the first that is missing."""
    found: list[Stored] = []
    for subject in chunks_of(ref):
        stored = await carrier.last(BLOB_STREAM, subject)
        if stored is None:
            break
        found.append(stored)
    return found


def _joined(ref: Ref, chunks: list[Stored]) -> bytes:
    if len(chunks) * CHUNK_BYTES < ref.size:
        raise BlobMismatch(f"chunk {len(chunks)} of blob {ref.owner}/{ref.digest} is not there")
    content = b"".join(chunk.body for chunk in chunks)
    if len(content) != ref.size or hashlib.sha256(content).hexdigest() != ref.digest:
        raise BlobMismatch(f"blob {ref.owner}/{ref.digest} does not hold what its name says")
    return content


# -- letters that stand for a blob ------------------------------------------------------------------------


async def whole(carrier: Carrier, stored: Stored) -> Stored:
    """Return a letter with the content that its body stands for; without it, opening the letter says why.

    A blob that was stored more than five seconds after its letter does not count, and is waited for twice as
    long: so every process comes to the same, as long as their clocks differ by less than that.
    """
    for _ in range(int(2 * _LATE_S / _AGAIN_S)):
        if (found := await look(carrier, stored)) is not None:
            return found
        await asyncio.sleep(_AGAIN_S)
    return stored


async def look(carrier: Carrier, stored: Stored) -> Stored | None:
    """Look once for what a letter's body stands for, as `whole`; None: it is to be looked for again."""
    if stored.content is not None or not is_dataref(stored.body):
        return stored
    try:
        ref = ref_in(stored.body, subjects.parts_of(stored.subject).sender)
    except BadMail:
        return stored
    chunks = await _chunks(carrier, ref)
    if len(chunks) * CHUNK_BYTES < ref.size:
        is_given_up = carrier.now_ns() - stored.time_ns > 2 * _LATE_S * 1e9
        return stored if is_given_up else None
    if any(chunk.time_ns - stored.time_ns > _LATE_S * 1e9 for chunk in chunks):
        return stored
    try:
        return msgspec.structs.replace(stored, content=_joined(ref, chunks))
    except BlobMismatch:
        return stored


async def whole_page(carrier: Carrier, page: list[Stored]) -> list[Stored]:
    """Return a page of letters with their contents. It ends early rather than hold too much in memory."""
    size = 0
    for n, stored in enumerate(page):
        if not is_dataref(stored.body):
            continue
        if size > _PAGE_BYTES:
            return page[:n]
        page[n] = await whole(carrier, stored)
        size += len(page[n].content or b"")
    return page
