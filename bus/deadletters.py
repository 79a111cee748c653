"""Dead letters: the copy of a mail that could not be decided, and its replay.

The copy's body is byte-identical; where it came from and why it is here stand in its headers. A replay
never trusts the copy: subject and body come from the mail stream, by the original sequence.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import quote, unquote

import msgspec

from bus import blobs, subjects
from bus.complaints import DeadLetter
from bus.dataref import MAX_BODY_BYTES, is_dataref, ref_in
from bus.envelope import Outgoing, Stored, base_headers, digest
from bus.errors import BadMail, BlobMismatch, BusError
from bus.ports import Carrier
from bus.reading import every
from bus.subjects import MAIL_STREAM, Address

_ERROR_CHARS = 1_000
_TRACEBACK_CHARS = 6_000
_SEQ = re.compile(r"[0-9]{1,18}", re.ASCII)
_SAFE = " !#$&'()*+,-./:;<=>?@[]^_`{|}~"


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """A dead letter as it is shown: `seq` in the dead-letter stream, `original_seq` in the mail stream."""

    seq: int
    time_ns: int
    mailbox: str
    mission: str
    original_subject: str
    original_seq: int
    reason: str
    error: str
    traceback: str
    body: bytes


class ReplayRefused(BusError):
    """The entry is not what the log says, or was replayed before."""


def dead_id(mailbox: str, seq: int) -> str:
    """Return the id of the copy of a mail: the same from every process."""
    return digest("dead", mailbox, seq)


def copy_of(mailbox: str, stored: Stored, dead: DeadLetter) -> Outgoing:
    """Make the copy for the dead-letter stream. The same mail gives the same id in every process."""
    mission = subjects.mission_of(stored.subject)
    headers = base_headers(dead_id(mailbox, stored.seq), mailbox, "dead_letter", stored.time_ns)
    headers["coo-dlq-subject"] = quote(stored.subject, safe=_SAFE)
    headers["coo-dlq-seq"] = str(stored.seq)
    headers["coo-dlq-reason"] = dead.reason
    headers["coo-dlq-error"] = quote(dead.detail[:_ERROR_CHARS], safe=_SAFE)
    headers["coo-dlq-traceback"] = quote(dead.traceback[-_TRACEBACK_CHARS:], safe=_SAFE)
    return Outgoing(subjects.dead_letter(mailbox, mission), headers, stored.body)


def entry_of(stored: Stored) -> Entry:
    """Read a dead letter; what a forger left out is empty."""
    headers: Mapping[str, str] = stored.headers
    mailbox, mission = subjects.entombed_by(stored.subject)
    seq = headers.get("coo-dlq-seq", "0")
    return Entry(
        seq=stored.seq,
        time_ns=stored.time_ns,
        mailbox=mailbox,
        mission=mission,
        original_subject=unquote(headers.get("coo-dlq-subject", "")),
        original_seq=int(seq) if _SEQ.fullmatch(seq) else 0,
        reason=headers.get("coo-dlq-reason", ""),
        error=unquote(headers.get("coo-dlq-error", "")),
        traceback=unquote(headers.get("coo-dlq-traceback", "")),
        body=stored.body,
    )


async def whole(carrier: Carrier, stored: Stored) -> Stored:
    """Return a dead letter with the content that its body stands for, if the original's sender stored it."""
    sender = subjects.parts_of(entry_of(stored).original_subject).sender
    if not is_dataref(stored.body):
        return stored
    try:
        content = await blobs.get(carrier, ref_in(stored.body, sender))
    except (BadMail, BlobMismatch):
        return stored
    return msgspec.structs.replace(stored, content=content)


async def replay(carrier: Carrier, entry: Entry, body: bytes | None = None) -> tuple[Outgoing, int]:
    """Make the message that replays an entry, and say which replay of it this is (1 for the first).

    `body` replaces the original's. Publishing it twice is harmless: its message id carries the number of the
    replay.

    Raises:
        ReplayRefused: the mail stream holds something else at that sequence, or the new body is too big.
    """
    if body is not None and len(body) > MAX_BODY_BYTES:
        raise ReplayRefused(f"an edited body of {len(body)} bytes is above {MAX_BODY_BYTES}")
    original, address = await _original(carrier, entry)
    original_id = _id_of(original)
    n = 1 + len(await _replays(carrier, original, address))
    headers = {k: v for k, v in original.headers.items() if not k.lower().startswith("nats-")}
    headers["Nats-Msg-Id"] = headers["ce-id"] = f"{original_id}:replay:{n}"
    headers["coo-replay-of"] = original_id
    return Outgoing(subjects.exactly(address), headers, original.body if body is None else body), n


async def history(carrier: Carrier, entry: Entry) -> list[Stored]:
    """Return the replays of an entry that are in the log, the oldest first.

    Raises:
        ReplayRefused: as `replay`.
    """
    return await _replays(carrier, *await _original(carrier, entry))


async def _original(carrier: Carrier, entry: Entry) -> tuple[Stored, Address]:
    original = await carrier.get(MAIL_STREAM, entry.original_seq) if entry.original_seq else None
    if original is None or original.subject != entry.original_subject or original.body != entry.body:
        raise ReplayRefused(
            f"dead letter {entry.seq} is not what the log holds at {entry.original_seq}: "
            "it may be forged, and is not replayed"
        )
    address = subjects.address_of(original.subject)
    if address is None:
        raise ReplayRefused(
            f"message {original.seq} is not mail that could be replayed: its subject is wrong"
        )
    if address.to != entry.mailbox:
        raise ReplayRefused(f"dead letter {entry.seq} was written by {entry.mailbox}, not by its addressee")
    return original, address


def _id_of(original: Stored) -> str:
    return original.headers.get("ce-id") or digest("unreadable", original.seq)


async def _replays(carrier: Carrier, original: Stored, address: Address) -> list[Stored]:
    pattern, wanted = subjects.only(subjects.exactly(address)), _id_of(original)
    later = every(carrier, MAIL_STREAM, pattern, original.seq + 1)
    return [stored async for stored in later if stored.headers.get("coo-replay-of") == wanted]
