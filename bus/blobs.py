"""Blobs: files by content, in chunks that the broker lets nobody change or delete.

A reference is (owner, digest, size): the owner's name is part of the subject, so nobody can occupy
another's digest. What is read is checked against the reference.
"""

from __future__ import annotations

import hashlib

from bus import subjects
from bus.acked import acked
from bus.envelope import Outgoing
from bus.errors import BlobMismatch, Occupied
from bus.ports import Carrier
from bus.subjects import BLOB_STREAM
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


async def _put_chunk(carrier: Carrier, subject: str, chunk: bytes) -> None:
    message = Outgoing(subject, {"Nats-Msg-Id": subject}, chunk)
    try:
        if not (await acked(carrier, message)).duplicate:
            return
    except Occupied:
        pass
    stored = await carrier.last(BLOB_STREAM, subject)
    if stored is None or stored.body != chunk:
        raise BlobMismatch(f"{subject} holds other bytes")


async def get(carrier: Carrier, ref: Ref) -> bytes:
    """Return a blob's content.

    Raises:
        BlobMismatch: missing, or not the bytes that the reference names.
    """
    if not 0 <= ref.size <= MAX_BLOB_BYTES:
        raise BlobMismatch(f"a blob of {ref.size} bytes is above {MAX_BLOB_BYTES}")
    chunks = []
    for n in range(-(-ref.size // CHUNK_BYTES)):
        stored = await carrier.last(BLOB_STREAM, subjects.blob_chunk(ref.owner, ref.digest, n))
        if stored is None:
            raise BlobMismatch(f"chunk {n} of blob {ref.owner}/{ref.digest} is not there")
        chunks.append(stored.body)
    content = b"".join(chunks)
    if len(content) != ref.size or hashlib.sha256(content).hexdigest() != ref.digest:
        raise BlobMismatch(f"blob {ref.owner}/{ref.digest} does not hold what its name says")
    return content
