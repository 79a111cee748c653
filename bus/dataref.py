"""Bodies too big for the wire: kept in a blob, which the body on the wire names (CloudEvents' `dataref`).

Such a body is `{"dataref":{"owner":…,"digest":…,"size":…}}` and nothing else; what it stands for is the
blob's content. Ids, comparisons, copies and replays go by the body on the wire, so they need no blob. The
blob belongs to the sender that the subject names, so nobody sends what somebody else stored.
"""

from __future__ import annotations

import hashlib
from typing import Annotated

import msgspec

from bus.errors import BadMail
from bus.table import Ref

MAX_BODY_BYTES = 64 * 1024
"""Above this a body belongs into a blob. A constant of the wire, so every process decides alike."""

MAX_CONTENT_BYTES = 4 * 1024 * 1024
"""What a letter may hold at most, in a blob or not: more is refused before a byte of it is read."""

_PREFIX = b'{"dataref":'


class _Blob(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    owner: str
    digest: Annotated[str, msgspec.Meta(pattern=r"\A[0-9a-f]{64}\Z")]
    size: Annotated[int, msgspec.Meta(ge=0, le=2**53)]


class _Dataref(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    dataref: _Blob


def named_by(owner: str, content: bytes) -> bytes:
    """Return the body that stands for a content which its owner stores as a blob."""
    blob = _Blob(owner=owner, digest=hashlib.sha256(content).hexdigest(), size=len(content))
    return msgspec.json.encode(_Dataref(dataref=blob))


def is_dataref(body: bytes) -> bool:
    """Say whether a body stands for a blob; no message of a table begins so."""
    return body.startswith(_PREFIX)


def ref_in(body: bytes, sender: str) -> Ref:
    """Return the blob that a sender's body names.

    Raises:
        BadMail: it names none, one of somebody else, or one above `MAX_CONTENT_BYTES`.
    """
    try:
        blob = msgspec.json.decode(body, type=_Dataref).dataref
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadMail("bad_dataref", "its body names no blob that can be read") from error
    if blob.owner != sender:
        raise BadMail("bad_dataref", f"its body does not name a blob of {sender}")
    if not MAX_BODY_BYTES < blob.size <= MAX_CONTENT_BYTES:
        raise BadMail(
            "too_big", f"its body names a blob that is not {MAX_BODY_BYTES} to {MAX_CONTENT_BYTES} bytes"
        )
    return Ref(owner=blob.owner, digest=blob.digest, size=blob.size)
