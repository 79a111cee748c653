"""What is on the wire: stored messages, mail, letters, and the codec between them.

Bodies are one line of JSON, metadata is ASCII headers in CloudEvents binary mode. Sender, addressee and
kind are what the subject says; a header that says otherwise makes bad mail.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import NamedTuple

import msgspec

from bus import subjects
from bus.bounds import MOST, whole
from bus.dataref import MAX_BODY_BYTES, MAX_CONTENT_BYTES, is_dataref, named_by, ref_in
from bus.depth import MAX_DEPTH, depth_of
from bus.errors import BadLetter, BadMail
from bus.subjects import Subject
from bus.table import Row, Table

_FOREIGN = ("nats-stream", "nats-sequence", "nats-subject")
_NUMBERS = ("coo-at", "coo-version")
_encoder = msgspec.json.Encoder(order="deterministic")


class Stored(msgspec.Struct, frozen=True):
    """A message as a stream holds it. `time_ns` is the log's timestamp in nanoseconds since 1970.

    `content` is what the blob holds that the body names, once it was read (`bus.blobs.whole`). `flaw` says
    why its headers are not believed and left out (`bus.wire`); it is empty where they are.
    """

    seq: int
    time_ns: int
    subject: str
    headers: Mapping[str, str]
    body: bytes
    flaw: str = ""
    content: bytes | None = None

    @property
    def text(self) -> bytes:
        """What it says: its body, or what that stands for."""
        return self.body if self.content is None else self.content


class Outgoing(msgspec.Struct, frozen=True):
    """A message ready to be published, the same bytes whoever decided it.

    `content` is what its body stands for, to be stored as a blob before it is published.
    """

    subject: Subject
    headers: Mapping[str, str]
    body: bytes
    content: bytes = b""

    @property
    def id(self) -> str:
        return self.headers["Nats-Msg-Id"]

    def under_id(self, message_id: str) -> Outgoing:
        """Return the same message under another `Nats-Msg-Id`; its ce-id stays."""
        return Outgoing(self.subject, {**self.headers, "Nats-Msg-Id": message_id}, self.body, self.content)

    def same_as(self, stored: Stored) -> bool:
        """Say whether the log holds this very letter: subject, body and cause."""
        return (
            stored.subject == self.subject
            and stored.body == self.body
            and stored.headers.get("coo-cause") == self.headers.get("coo-cause")
        )


class Mail(msgspec.Struct, frozen=True, kw_only=True):
    """A message as a mailbox gets it, decoded.

    `now_ns` is the greatest log timestamp up to this mail: the only time a role knows. `at` is the sequence
    of the mail it was decided at, the same for every copy of it; its own where it answers none.
    """

    seq: int
    now_ns: int
    mission: str
    to: str
    kind: str
    sender: str
    id: str
    message: msgspec.Struct
    cause: str = ""
    retry_of: str = ""
    at: int = 0


class Letter(msgspec.Struct, frozen=True, kw_only=True):
    """What a role decided to send. Without `mission` it is that of the mail being decided."""

    to: str
    message: msgspec.Struct
    mission: str = ""
    retry_of: str = ""


class Cause(NamedTuple):
    """The mail that a letter answers: what the letter's id and headers are made of."""

    sender: str
    id: str
    seq: int
    time_ns: int
    trace: str


def digest(*parts: str | int) -> str:
    """Return a 128-bit hash of the parts in hex; no two different lists of parts collide by joining."""
    joined = "".join(f"{len(text)}:{text}" for text in map(str, parts))
    return hashlib.blake2b(joined.encode(), digest_size=16).hexdigest()


def encode(message: msgspec.Struct) -> bytes:
    """Encode a message as one line of JSON, the same in every process.

    Raises:
        BadLetter: it is bigger than a body may be.
    """
    body = _encoder.encode(message)
    if len(body) > MAX_BODY_BYTES:
        raise BadLetter(f"a {type(message).__name__} of {len(body)} bytes is above {MAX_BODY_BYTES}")
    return body


def _body(table: Table, sender: str, to: str, message: msgspec.Struct) -> tuple[bytes, bytes]:
    """Encode a message as its body and the content of the blob that the body names, if it names one.

    Raises:
        BadLetter: it is bigger than a letter to this mailbox may be.
    """
    text = _encoder.encode(message)
    if len(text) <= MAX_BODY_BYTES:
        return text, b""
    most = MAX_CONTENT_BYTES if table.takes_blobs(to) else MAX_BODY_BYTES
    if len(text) > most:
        raise BadLetter(f"a {type(message).__name__} of {len(text)} bytes is above {most}")
    return named_by(sender, text), text


def cause_of(mail: Mail, headers: Mapping[str, str] = {}) -> Cause:
    """Return the cause that letters answering this mail name."""
    return Cause(mail.sender, mail.id, mail.seq, mail.now_ns, headers.get("traceparent", ""))


def seal(
    table: Table,
    *,
    sender: str,
    version: int,
    to: str,
    mission: str,
    message: msgspec.Struct,
    cause: Cause,
    ordinal: int | str = 0,
    retry_of: str = "",
) -> Outgoing:
    """Make a letter that answers a mail, with the id that whoever decides it gives it.

    Raises:
        BadLetter: not in the table, or too big.
    """
    kind = table.kind_of(sender, to, message)
    letter_id = digest(mission, cause.sender, cause.id, sender, to, kind, ordinal)
    headers = base_headers(letter_id, sender, kind, cause.time_ns)
    headers["coo-cause"] = f"{cause.sender}/{cause.id}"
    headers["coo-at"] = str(cause.seq)
    headers["coo-version"] = str(version)
    headers["traceparent"] = trace_of(cause.trace, mission, letter_id)
    if retry_of:
        headers["coo-retry-of"] = retry_of
    return Outgoing(subjects.mail(mission, to, kind, sender), headers, *_body(table, sender, to, message))


def open_letter(
    table: Table, *, sender: str, to: str, mission: str, message: msgspec.Struct, id: str, time_ns: int
) -> Outgoing:
    """Make a letter that answers nothing: what a person sends."""
    kind = table.kind_of(sender, to, message)
    headers = base_headers(id, sender, kind, time_ns)
    headers["traceparent"] = trace_of("", mission, id)
    return Outgoing(subjects.mail(mission, to, kind, sender), headers, *_body(table, sender, to, message))


def base_headers(message_id: str, sender: str, kind: str, time_ns: int) -> dict[str, str]:
    return {
        "Nats-Msg-Id": message_id,
        "ce-id": message_id,
        "ce-source": f"/coo/{sender}",
        "ce-type": f"coo.{kind}",
        "ce-specversion": "1.0",
        "ce-time": rfc3339(time_ns),
    }


def trace_of(parent: str, mission: str, span: str) -> str:
    """Return a W3C traceparent: the trace of the cause, else one that belongs to the mission."""
    trace = parent[3:35] if len(parent) == 55 else digest("trace", mission)
    return f"00-{trace}-{span[:16]}-01"


def rfc3339(time_ns: int) -> str:
    """Write a log timestamp as UTC with nanoseconds."""
    seconds, fraction = divmod(time_ns, 1_000_000_000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{fraction:09d}Z"


def open_mail(table: Table, stored: Stored, now_ns: int) -> Mail:
    """Check and decode a stored message.

    Raises:
        BadMail: it is not mail of this table; `reason` says which rule it broke.
    """
    address = subjects.parse_mail(stored.subject)
    message_id = _check_headers(stored, address)
    row = table.row(address)
    return Mail(
        seq=stored.seq,
        now_ns=now_ns,
        mission=address.mission,
        to=address.to,
        kind=address.kind,
        sender=address.sender,
        id=message_id,
        message=decode(table, row, _text(table, row, stored)),
        cause=stored.headers.get("coo-cause", ""),
        retry_of=stored.headers.get("coo-retry-of", ""),
        at=min(decided_at(stored), stored.seq) if "coo-at" in stored.headers else stored.seq,
    )


def readable(table: Table, stored: Stored) -> Mail | None:
    """Return a stored message as mail, None if it is none: what a reader of the log passes over."""
    try:
        return open_mail(table, stored, stored.time_ns)
    except BadMail:
        return None


def decided_at(stored: Stored) -> int:
    """Return the sequence of the mail that a letter answers, 0 if it does not say."""
    return whole(stored.headers.get("coo-at", "")) or 0


def version_of(stored: Stored) -> int:
    """Return the version of the role that wrote a letter, 0 if it does not say."""
    return whole(stored.headers.get("coo-version", "")) or 0


def _check_headers(stored: Stored, address: subjects.Address) -> str:
    if stored.flaw:
        raise BadMail("bad_headers", stored.flaw)
    headers = stored.headers
    if any(name.lower() in _FOREIGN for name in headers):
        raise BadMail("copied_message", "it carries headers that only a copy out of a stream has")
    message_id = headers.get("ce-id", "")
    if not 0 < len(message_id) <= 128:
        raise BadMail("bad_headers", "ce-id is missing or longer than 128 characters")
    for name in _NUMBERS:
        if name in headers and whole(headers[name]) is None:
            raise BadMail("bad_headers", f"{name} is not a number from 0 to {MOST}: {headers[name]!r:.40}")
    for name, wanted in (("ce-source", f"/coo/{address.sender}"), ("ce-type", f"coo.{address.kind}")):
        if headers.get(name, wanted) != wanted:
            raise BadMail("bad_headers", f"{name} is {headers[name]!r}, the subject says {wanted!r}")
    return message_id


def _text(table: Table, row: Row, stored: Stored) -> bytes:
    """Return what a stored message says. Whether its blob came in time was settled when it was read."""
    if len(stored.body) > MAX_BODY_BYTES:
        raise BadMail("too_big", f"a body of {len(stored.body)} bytes is above {MAX_BODY_BYTES}")
    if not is_dataref(stored.body):
        return stored.body
    ref = ref_in(stored.body, row.sender)
    if not table.takes_blobs(row.to):
        raise BadMail("too_big", f"{row.to} reads no body of {ref.size} bytes: above {MAX_BODY_BYTES}")
    if stored.content is None:
        raise BadMail("no_blob", f"blob {ref.owner}/{ref.digest} was not there when it was needed")
    return stored.content


def decode(table: Table, row: Row, text: bytes) -> msgspec.Struct:
    """Decode what a message says; raises BadMail where it is not one of its row."""
    if depth_of(text) > MAX_DEPTH:
        raise BadMail("too_deep", f"the body is nested deeper than {MAX_DEPTH}")
    try:
        return table.decode(row, text)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadMail("undecodable", str(error)) from error
