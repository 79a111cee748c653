"""The log of a run as its readers see it: letters with what their bodies stand for."""

from __future__ import annotations

import hashlib

from msgspec.structs import replace

from bus.blobs import chunks_of
from bus.dataref import is_dataref, ref_in
from bus.envelope import Stored
from bus.errors import BadMail, BlobMismatch
from bus.memory import MemoryServer
from bus.subjects import BLOB_STREAM, MAIL_STREAM, parts_of
from bus.table import Ref


def blob_in(server: MemoryServer, ref: Ref) -> bytes | None:
    """Return a blob's content, None if it is not there."""
    stored = {chunk.subject: chunk.body for chunk in server.stream(BLOB_STREAM).messages}
    try:
        content = b"".join(stored[subject] for subject in chunks_of(ref))
    except (KeyError, BlobMismatch):
        return None
    return content if hashlib.sha256(content).hexdigest() == ref.digest else None


def mail_in(server: MemoryServer, start: int = 0) -> list[Stored]:
    """Return the mail from a place in the log on."""
    return [whole_in(server, stored) for stored in server.stream(MAIL_STREAM).messages[start:]]


def whole_in(server: MemoryServer, stored: Stored) -> Stored:
    """Return a message with what its body stands for."""
    if not is_dataref(stored.body):
        return stored
    try:
        ref = ref_in(stored.body, parts_of(stored.subject).sender)
    except BadMail:
        return stored
    return replace(stored, content=blob_in(server, ref))
