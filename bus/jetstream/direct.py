"""The answer to one direct get, message by message.

What the server adds to a stored message stands at the end of its headers, whatever stands before: it is
looked for there alone. What it says for itself stands in the first line, where no stored message has any.
"""

from __future__ import annotations

import asyncio
import calendar
import re
import time

from bus.envelope import Stored
from bus.errors import NotSetUp
from bus.jetstream.natspy import Msg, raw_of
from bus.wire import stored_as, text_of

_FIRST_ADDED = b"Nats-Stream: "
_ADDED = re.compile(
    _FIRST_ADDED + rb"[^\r\n]*\r\n"
    rb"Nats-Subject: ([^\r\n]*)\r\n"
    rb"Nats-Sequence: ([0-9]{1,20})\r\n"
    rb"Nats-Time-Stamp: ([^\r\n]*)\r\n"
    rb"(?:Nats-Num-Pending: [0-9]+\r\n)?"
    rb"(?:Nats-Last-Sequence: ([0-9]{1,20})\r\n)?"
    rb"\r\n"
)


class Read:
    """The messages of one direct get: `done` has them when the server has said that there are no more."""

    def __init__(self, single: bool) -> None:
        self._single = single
        self._found: list[Stored] = []
        self.done: asyncio.Future[list[Stored]] = asyncio.get_running_loop().create_future()

    def take(self, msg: Msg) -> None:
        said = msg.headers or {}
        status = said.get("Status")
        if status in ("204", "404"):
            self._end(said.get("Nats-Last-Sequence", ""))
        elif status is not None:
            reason = said.get("Description", "")
            self.done.set_exception(NotSetUp(f"direct get answers {status} {reason}: run `coo setup`"))
        elif (answer := _answer(msg)) is None:
            self.done.set_exception(TimeoutError("an answer that is not a message"))
        else:
            self._add(*answer)

    def _add(self, stored: Stored, before: int | None) -> None:
        """Take in a message; `before` is the sequence that the server sent before it, where it says so."""
        if self._found and before not in (None, self._found[-1].seq):
            self.done.set_exception(TimeoutError(f"the message before {stored.seq} was lost"))
            return
        self._found.append(stored)
        if self._single:
            self.done.set_result(self._found)

    def _end(self, last: str) -> None:
        if self._found and last and last != str(self._found[-1].seq):
            self.done.set_exception(TimeoutError(f"message {last} was lost"))
        else:
            self.done.set_result(self._found)


def stored_in(msg: Msg) -> Stored | None:
    """Return the message that was read out of a stream, if it is one."""
    answer = _answer(msg)
    return answer[0] if answer else None


def _answer(msg: Msg) -> tuple[Stored, int | None] | None:
    raw = raw_of(msg)
    start = raw.rfind(_FIRST_ADDED)  # no later one can be in a subject, which has no space
    if start < 0 or (added := _ADDED.fullmatch(raw, start)) is None:
        return None
    subject, seq, when, before = added.groups()
    time_ns = _time_ns(when.decode())
    stored = stored_as(int(seq), time_ns, text_of(subject), raw[:start], msg.data)
    return stored, None if before is None else int(before)


def _time_ns(text: str) -> int:
    """Read an RFC 3339 time in UTC, with up to nanoseconds."""
    whole, _, fraction = text.rstrip("Z").partition(".")
    seconds = calendar.timegm(time.strptime(whole, "%Y-%m-%dT%H:%M:%S"))
    return seconds * 1_000_000_000 + int(fraction.ljust(9, "0")[:9] or 0)
