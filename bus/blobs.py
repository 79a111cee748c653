"""Blobs: files by content, in chunks that the broker lets nobody change or delete.

A reference is (owner, digest, size): the owner's name is part of the subject, so nobody can occupy
another's digest. What is read is checked against the reference.
"""

from __future__ import annotations

import asyncio
import hashlib

from bus import subjects
from bus.envelope import Outgoing
from bus.errors import BlobMismatch, NotAToken, Occupied, Unknown
from bus.ports import Carrier
from bus.subjects import BLOB_STREAM, Subject
from bus.table import Ref

CHUNK_BYTES = 512 * 1024
MAX_BLOB_BYTES = 64 * 1024 * 1024
"""More is refused before it is read, so that a reference cannot make a reader collect gigabytes."""


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
    while True:
        try:
            await carrier.publish(message)
        except Unknown:
            await asyncio.sleep(0.1)
            continue
        except Occupied:
            stored = await carrier.last(BLOB_STREAM, subject)
            if stored is None or stored.body != chunk:
                raise BlobMismatch(f"{subject} holds other bytes") from None
        return


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


async def get(carrier: Carrier, ref: Ref) -> bytes:
    """Return a blob's content.

    Raises:
        BlobMismatch: missing, or not the bytes that the reference names.
    """
    chunks = []
    for n, subject in enumerate(chunks_of(ref)):
        stored = await carrier.last(BLOB_STREAM, subject)
        if stored is None:
            raise BlobMismatch(f"chunk {n} of blob {ref.owner}/{ref.digest} is not there")
        chunks.append(stored.body)
    content = b"".join(chunks)
    if len(content) != ref.size or hashlib.sha256(content).hexdigest() != ref.digest:
        raise BlobMismatch(f"blob {ref.owner}/{ref.digest} does not hold what its name says")
    return content
