"""Bodies too big for the wire: kept in a blob, which the body on the wire names (CloudEvents' `dataref`).

Such a body is `{"dataref":{"owner":…,"digest":…,"size":…}}` and nothing else; what it stands for is the
blob's content. Ids, comparisons, copies and replays go by the body on the wire, so they need no blob. The
blob belongs to the sender that the subject names, so nobody sends what somebody else stored.
"""

from __future__ import annotations

import hashlib

import msgspec

from bus.errors import BadMail
from bus.table import Ref

MAX_BODY_BYTES = 64 * 1024
"""Above this a body belongs into a blob. A constant of the wire, so every process decides alike."""

MAX_CONTENT_BYTES = 4 * 1024 * 1024
"""What a letter may hold at most, in a blob or not: more is refused before a byte of it is read."""

_PREFIX = b'{"dataref":'


class _Dataref(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    dataref: Ref


def named_by(owner: str, content: bytes) -> bytes:
    """Return the body that stands for a content which its owner stores as a blob."""
    ref = Ref(owner=owner, digest=hashlib.sha256(content).hexdigest(), size=len(content))
    return msgspec.json.encode(_Dataref(dataref=ref))


def is_dataref(body: bytes) -> bool:
    """Say whether a body stands for a blob; no message of a table begins so."""
    return body.startswith(_PREFIX)


def ref_in(body: bytes, sender: str) -> Ref:
    """Return the blob that a sender's body names.

    Raises:
        BadMail: it names none, one of somebody else, or one above `MAX_CONTENT_BYTES`.
    """
    try:
        ref = msgspec.json.decode(body, type=_Dataref).dataref
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadMail("bad_dataref", "its body names no blob that can be read") from error
    if ref.owner != sender or not _is_sha256(ref.digest):
        raise BadMail("bad_dataref", f"its body does not name a blob of {sender}")
    if not MAX_BODY_BYTES < ref.size <= MAX_CONTENT_BYTES:
        raise BadMail(
            "too_big", f"its body names a blob that is not {MAX_BODY_BYTES} to {MAX_CONTENT_BYTES} bytes"
        )
    return ref


def _is_sha256(digest: str) -> bool:
    return len(digest) == 64 and all(character in "0123456789abcdef" for character in digest)
