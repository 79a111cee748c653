"""What the bytes of a stored message say: one reading for what is delivered, read or in memory.

nats-server takes any bytes as headers. To what it reads out of a stream it adds lines of its own, in place of
the last two bytes; so those two count for nothing here, however a message came. Headers that are not a list
of names and printable ASCII values, each name once, are a flaw: none of them is believed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from bus.envelope import Stored

_FIRST_LINE = b"NATS/1.0\r\n"
_LINE = re.compile(rb"([!-9;-~]+):[ \t]*([\t -~]*?)[ \t]*\r\n")
_NEW_LINES = {10: " ", 13: " "}


def stored_as(seq: int, time_ns: int, subject: str, head: bytes, body: bytes) -> Stored:
    """Return a stored message; `head` is its headers without their last two bytes."""
    headers, flaw = headers_in(head)
    return Stored(seq, time_ns, subject, headers, body, flaw)


def head_of(raw: bytes) -> bytes:
    """Return the part of published headers that counts."""
    return raw[:-2]


def headers_in(head: bytes) -> tuple[dict[str, str], str]:
    """Return the headers, or none and what is wrong with them."""
    if head in (b"", _FIRST_LINE):
        return {}, ""
    if not head.startswith(_FIRST_LINE):
        return {}, "the headers do not begin as headers do"
    headers: dict[str, str] = {}
    known: set[bytes] = set()
    place = len(_FIRST_LINE)
    while place < len(head):
        line = _LINE.match(head, place)
        if line is None:
            return {}, f"the header line at byte {place} is not a name and printable ASCII"
        name, value = line.groups()
        if name.lower() in known:
            return {}, f"the header {name.decode()} is there twice"
        known.add(name.lower())
        headers[name.decode()] = value.decode()
        place = line.end()
    return headers, ""


def raw_headers(headers: Mapping[str, str]) -> bytes:
    """Return headers as they are published."""
    lines = [f"{name.strip()}: {value.strip().translate(_NEW_LINES)}\r\n" for name, value in headers.items()]
    return _FIRST_LINE + "".join(lines).encode() + b"\r\n"


def header_in(raw: bytes, name: str) -> str:
    """Return what nats-server takes for a header of its own: the first such line, whatever is beside it."""
    found = re.search(rb"\r\n" + name.encode() + rb":[ ]*([^\r\n]*)", raw)
    return found[1].decode("latin-1").strip() if found else ""


def text_of(subject: bytes) -> str:
    """Return a subject as text; bytes that are not UTF-8 are written out, and are no token of ours."""
    return subject.decode("utf-8", "backslashreplace")
