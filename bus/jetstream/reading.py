"""The answer to one direct get, message by message."""

from __future__ import annotations

import asyncio
import calendar
import time

from bus.envelope import Stored
from bus.errors import NotSetUp
from bus.jetstream.natspy import Msg

_READ_HEADERS = {"nats-stream", "nats-sequence", "nats-subject", "nats-time-stamp", "nats-num-pending"}


class Read:
    """The messages of one direct get: `done` has them when the server has said that there are no more."""

    def __init__(self, single: bool) -> None:
        self._single = single
        self._found: list[Stored] = []
        self.done: asyncio.Future[list[Stored]] = asyncio.get_running_loop().create_future()

    def take(self, msg: Msg) -> None:
        headers = msg.headers or {}
        status = headers.get("Status")
        if status in ("204", "404"):
            self.done.set_result(self._found)
        elif status is not None:
            reason = headers.get("Description", "")
            self.done.set_exception(NotSetUp(f"direct get answers {status} {reason}: run `coo setup`"))
        else:
            self._found.append(stored_in(headers, msg.data))
            if self._single:
                self.done.set_result(self._found)


def stored_in(headers: dict[str, str], body: bytes) -> Stored:
    kept = {k: v for k, v in headers.items() if k.lower() not in _READ_HEADERS and k != "Nats-Last-Sequence"}
    return Stored(
        int(headers["Nats-Sequence"]),
        _time_ns(headers["Nats-Time-Stamp"]),
        headers["Nats-Subject"],
        kept,
        body,
    )


def _time_ns(text: str) -> int:
    """Read an RFC 3339 time in UTC, with up to nanoseconds."""
    whole, _, fraction = text.rstrip("Z").partition(".")
    seconds = calendar.timegm(time.strptime(whole, "%Y-%m-%dT%H:%M:%S"))
    return seconds * 1_000_000_000 + int(fraction.ljust(9, "0")[:9] or 0)
