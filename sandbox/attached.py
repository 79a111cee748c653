"""The two-way connection to a program that Docker runs: its input, its two outputs, its end."""

import contextlib
import io
import socket
from collections.abc import Mapping
from typing import Any

from sandbox.streams import Capture, frames


class Attached:
    """Hold the two-way connection to a running program."""

    def __init__(self, raw: Any) -> None:
        self._raw = raw
        self._socket: socket.socket = raw._sock
        self._socket.settimeout(None)
        # Not `raw` itself: bytes that came together with the response's headers wait in this buffer.
        self._buffered: io.BufferedReader = raw._response.raw._fp.fp

    def drain(self, captures: Mapping[int, Capture], stdin: bytes) -> None:
        """Send the input, then feed the captures until the stream ends or `hang_up` is called."""
        with contextlib.suppress(OSError, ValueError):
            if stdin:
                self._socket.sendall(stdin)
                self._socket.shutdown(socket.SHUT_WR)
        with contextlib.suppress(OSError, ValueError):
            for stream, chunk in frames(self._buffered.read1):
                if stream in captures:
                    captures[stream].feed(chunk)

    def hang_up(self) -> None:
        """End a drain in another thread: closing does not wake it, and an unread stream blocks the engine."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Give the connection back; the drain must have ended."""
        self._raw._response.close()
