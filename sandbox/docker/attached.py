"""The two-way connection to a program that Docker runs: its input, its two outputs, its end."""

import contextlib
import io
import socket
import threading
from collections.abc import Mapping, Sequence
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
        self._sender: threading.Thread | None = None

    def drain(self, captures: Mapping[int, Capture], pieces: Sequence[bytes]) -> None:
        """Send the input, and feed the captures until the stream ends or `hang_up` is called.

        Both at once: who waits for its input to be read, and does not read meanwhile, blocks the engine.
        """
        if pieces:
            self._sender = threading.Thread(target=self._send, args=[pieces], name="sandbox-input")
            self._sender.start()
        with contextlib.suppress(OSError, ValueError):
            for stream, chunk in frames(self._buffered.read1):
                if stream in captures:
                    captures[stream].feed(chunk)

    def _send(self, pieces: Sequence[bytes]) -> None:
        with contextlib.suppress(OSError, ValueError):
            for piece in pieces:
                self._socket.sendall(piece)
            self._socket.shutdown(socket.SHUT_WR)

    def hang_up(self) -> None:
        """End a drain in another thread: closing does not wake it, and an unread stream blocks the engine."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Give the connection back; it must have been hung up, and the drain have ended."""
        if self._sender is not None:
            self._sender.join()
        self._raw._response.close()
