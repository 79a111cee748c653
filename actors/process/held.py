"""What a process holds, told to its supervisor over an inherited pipe, so that it is given back when it dies.

A line a change: `+<ack subject>` taken, `-<ack subject>` settled, `=` something was handled. What is taken is
told at the end of the event loop's turn, before it can be decided; what is settled rides along, or follows. A
full pipe is tried again later and never waited for: what is untold comes back after the consumer's ack_wait.
"""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Callable
from typing import NamedTuple

ENVIRONMENT = "COO_HELD_FD"
"""The variable that tells a child its end of the pipe."""

_ACK_SUBJECT = re.compile(r"\$JS\.ACK\.[\w.-]{1,300}\.[0-9]+\.[0-9]+\.[0-9]+\.[0-9]+\.[0-9]+", re.ASCII)
_LATER_S = 0.05
_CHUNK_BYTES = 65_536  # what a pipe holds on Linux
_LONGEST_LINE_BYTES = 512
_MOST_HELD = 20_000
"""Far above any window; a child that tells more is not believed."""


class HeldReport:
    """A child's end: written within its event loop, bounded by what is held, never blocking."""

    def __init__(self, fd: int) -> None:
        os.set_blocking(fd, False)
        os.set_inheritable(fd, False)
        self._fd = fd
        self._loop = asyncio.get_running_loop()
        self._changes: dict[str, str] = {}
        self._handled = False
        self._alive = False
        self._rest = b""
        self._soon = False
        self._later: asyncio.TimerHandle | None = None
        self._broken = False

    def taken(self, ack_subject: str) -> None:
        self._changes[ack_subject] = "+"
        self._flush_soon()

    def settled(self, ack_subject: str, *, handled: bool) -> None:
        if handled and not self._alive:  # told at once: it decides whether this life counts as a crash
            self._alive = True
            self._flush_soon()
        self._handled = self._handled or handled
        if self._changes.pop(ack_subject, "") != "+":  # else nobody heard of it, and nobody need
            self._changes[ack_subject] = "-"
        self._flush_later()

    def _flush_soon(self) -> None:
        if not self._soon:
            self._soon = True
            self._loop.call_soon(self._flush)

    def _flush_later(self) -> None:
        if self._later is None and not self._soon:
            self._later = self._loop.call_later(_LATER_S, self._flush)

    def _flush(self) -> None:
        self._soon = False
        if self._later is not None:
            self._later.cancel()
            self._later = None
        if self._broken:
            self._changes.clear()
            return
        if not self._rest:
            self._rest = self._lines()
        try:
            while self._rest:
                self._rest = self._rest[os.write(self._fd, self._rest) :]
        except BlockingIOError:
            self._flush_later()
        except OSError:  # the supervisor is gone
            self._broken = True
            return
        if self._changes:
            self._flush_later()

    def _lines(self) -> bytes:
        lines = [f"{sign}{subject}\n" for subject, sign in self._changes.items()]
        if self._handled:
            lines.append("=\n")
        self._changes.clear()
        self._handled = False
        return "".join(lines).encode()


class Held(NamedTuple):
    """What a dead child had told: ack subjects it held, and the newest first delivery by prefix of these."""

    subjects: list[str]
    newest: dict[str, int]


def prefix_of(ack_subject: str) -> str:
    """Return the part of an ack subject that names its consumer (ADR-15)."""
    return ack_subject.rsplit(".", 5)[0]


class HeldPipe:
    """A supervisor's end: what the child at the other end holds.

    `on_handled` is called when the child has got something done.
    """

    def __init__(self, on_handled: Callable[[], None]) -> None:
        self._read_fd, self.write_fd = os.pipe()
        os.set_blocking(self._read_fd, False)
        self._on_handled = on_handled
        self.held: dict[str, None] = {}
        self._newest: dict[str, int] = {}
        self._rest = b""
        asyncio.get_running_loop().add_reader(self._read_fd, self._read)

    def given_away(self) -> None:
        """Close the child's end here, once the child has it."""
        if self.write_fd >= 0:
            os.close(self.write_fd)
            self.write_fd = -1

    def _read(self) -> bool:
        """Take in what is there; False at the end."""
        try:
            data = os.read(self._read_fd, _CHUNK_BYTES)
        except BlockingIOError:
            return False
        if not data:
            asyncio.get_running_loop().remove_reader(self._read_fd)
            return False
        *lines, self._rest = (self._rest + data).split(b"\n")
        self._rest = self._rest[:_LONGEST_LINE_BYTES]
        for line in lines:
            self._take(line)
        return True

    def _take(self, line: bytes) -> None:
        sign, subject = line[:1], line[1:].decode("ascii", "replace")
        if sign == b"+" and _ACK_SUBJECT.fullmatch(subject) and len(self.held) < _MOST_HELD:
            self.held[subject] = None
            if subject.split(".")[-5] == "1":
                self._newest[prefix_of(subject)] = int(subject.split(".")[-4])
        elif sign == b"-":
            self.held.pop(subject, None)
        elif sign == b"=":
            self._on_handled()

    def close(self) -> Held:
        """Read what the dead child still said, and return what it held. Idempotent."""
        self.given_away()
        if self._read_fd >= 0:
            while self._read():
                pass
            asyncio.get_running_loop().remove_reader(self._read_fd)
            os.close(self._read_fd)
            self._read_fd = -1
        return Held(list(self.held), self._newest)
