"""What a server refuses to a publisher: subjects outside its permissions, headers that its streams forbid.

The log in memory judges by this, so that whoever is taken over in a simulation can write exactly what it
could write on nats-server. A test sends the same messages to both and compares.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from bus.envelope import Stored
from bus.subjects import matches
from bus.wire import header_in

_DISABLED = ("Nats-Schedule", "Nats-Incr", "Nats-Batch-Id")
_DISABLED_LATE = ("Nats-TTL", "Nats-Rollup")
"""Features that no stream of ours has. The late ones are looked at when a message proved to be no copy."""

_ASKS = re.compile(rb"\r\nNats-(?!Msg-Id:)")
_TTL = re.compile(r"never|[1-9][0-9]*[smh]?", re.ASCII)
"""A time to live that can be read is refused at once, another one late."""


def is_permitted(allowed: Sequence[str], subject: str) -> bool:
    """Say whether a publisher may write to a subject; a wildcard is a token, an empty one is none."""
    return all(subject.split(".")) and any(matches(pattern, subject) for pattern in allowed)


def refusal(stream: str, messages: Sequence[Stored], subject: str, raw: bytes) -> str:
    """Return why a stream refuses a message with these headers, new or a copy; "" if it does not."""
    if _ASKS.search(raw) is None:
        return ""
    for name in _DISABLED:
        if header_in(raw, name):
            return f"{name} is disabled"
    if _TTL.fullmatch(header_in(raw, "Nats-TTL")):
        return "Nats-TTL is disabled"
    if (header_in(raw, "Nats-Expected-Stream") or stream) != stream:
        return "expected stream does not match"
    if (expected := header_in(raw, "Nats-Expected-Last-Sequence")) and _number(expected) != len(messages):
        return "wrong last sequence"
    if expected := header_in(raw, "Nats-Expected-Last-Subject-Sequence"):
        own = [one.seq for one in messages if one.subject == subject]
        if _number(expected) != (own[-1] if own else 0):
            return "wrong last sequence of this subject"
    return ""


def refusal_of_new(last_id: str, raw: bytes) -> str:
    """Return why a stream does not store a message that is not a copy; "" if it does."""
    if (header_in(raw, "Nats-Expected-Last-Msg-Id") or last_id) != last_id:
        return "wrong last message id"
    return next((f"{name} is disabled" for name in _DISABLED_LATE if header_in(raw, name)), "")


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 20 else -1
