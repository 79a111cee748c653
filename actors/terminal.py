"""The one way to stdout and stderr of a command, whatever they are: a terminal, a pipe, a full disk, closed.

`open_terminal` puts a `Terminal` in the place of both, so that everything that is printed passes here, a
library's words and tracebacks too. Text is made harmless, what the encoding lacks becomes a question mark,
and a stream that takes no more never interrupts the work: it is remembered, and the exit code says it.
"""

from __future__ import annotations

import io
import os
import select
import sys
from typing import TextIO

from actors.plain import harmless

READER_LEFT = "nobody reads stdout any more"

_STYLES = {"green": "32", "red": "31", "yellow": "33", "bold": "1", "dim": "2", "bold red": "1;31"}


class Terminal(io.TextIOBase):
    """One output of this process. It has no `buffer`: raw bytes go through `raw`."""

    def __init__(self, fd: int, encoding: str) -> None:
        self._fd = fd
        self._encoding = encoding
        self._lost: OSError | None = None

    @property
    def encoding(self) -> str:  # type: ignore[override]  # TextIOBase has attributes here
        return self._encoding

    @property
    def errors(self) -> str:  # type: ignore[override]  # TextIOBase has attributes here
        return "replace"

    @property
    def lost(self) -> str:
        """Why something that was written is not there; empty if all of it is."""
        if self._lost is None:
            return ""
        left = isinstance(self._lost, BrokenPipeError)
        return READER_LEFT if left else f"stdout took no more ({self._lost.strerror})"

    def look(self) -> str:
        """Return `lost`, after asking the system whether anybody can read what would be written now."""
        if self._lost is None:
            poll = select.poll()
            poll.register(self._fd, 0)
            if any(event & (select.POLLERR | select.POLLHUP) for _, event in poll.poll(0)):
                self._lost = BrokenPipeError()
        return self.lost

    def write(self, text: str) -> int:
        """Write text at once, made harmless. What cannot be written is dropped and remembered."""
        if not isinstance(text, str):
            raise TypeError(f"text is written here, not {type(text).__name__}")
        self._put(harmless(text).encode(self._encoding, "replace"))
        return len(text)

    def styled(self, text: str, style: str) -> None:
        """Write a line in one of our own styles, which shows on a terminal only."""
        code = _STYLES.get(style) if self.isatty() and "NO_COLOR" not in os.environ else None
        line = harmless(text).encode(self._encoding, "replace")
        self._put(b"\x1b[%sm%s\x1b[0m\n" % (code.encode(), line) if code else line + b"\n")

    def raw(self, content: bytes) -> None:
        """Write bytes as they are; on a terminal as harmless text."""
        if self.isatty():
            self.write(content.decode("utf-8", "replace"))
        else:
            self._put(content)

    def _put(self, content: bytes) -> None:
        left = memoryview(content)
        while left and self._lost is None:
            try:
                left = left[os.write(self._fd, left) :]
            except BlockingIOError:  # whoever gave us the stream made it non-blocking
                select.select([], [self._fd], [])
            except OSError as error:
                self._lost = error

    def writable(self) -> bool:
        return True

    def isatty(self) -> bool:
        return os.isatty(self._fd)

    def fileno(self) -> int:
        return self._fd


def open_terminal() -> None:
    """Make stdin, stdout and stderr usable; what was closed is /dev/null, lest a file takes its number."""
    for fd in range(3):
        try:
            os.fstat(fd)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest free number: this one
    if sys.stdin is None:
        sys.stdin = io.TextIOWrapper(io.FileIO(0, closefd=False), encoding="utf-8")
    sys.stdout = _terminal(sys.stdout, 1)
    sys.stderr = _terminal(sys.stderr, 2)


def _terminal(stream: TextIO | None, fd: int) -> TextIO:
    if isinstance(stream, Terminal):
        return stream
    return Terminal(fd, (stream.encoding if stream else None) or "utf-8")  # type: ignore[return-value]  # it has all that is used of a TextIO


def write_raw(stream: TextIO, content: bytes) -> None:
    """Write bytes of a file or a program to stdout or stderr: as they are, on a terminal as harmless text."""
    if isinstance(stream, Terminal):
        stream.raw(content)
    else:
        stream.write(content.decode("utf-8", "replace"))


def unread() -> str:
    """Return why showing more on stdout is in vain: its reader left, or it is full; empty if it is not."""
    return sys.stdout.look() if isinstance(sys.stdout, Terminal) else ""
