"""Keep the ends of a stream, count and hash all of it, and take Docker's frames apart."""

import hashlib
from collections.abc import Callable, Iterator

from sandbox.order import Stream

STDOUT, STDERR = 1, 2
_FRAME_HEADER_BYTES = 8
_READ_BYTES = 64 * 1024


class Capture:
    """Take in one stream of any length in bounded memory.

    Not thread-safe: one thread feeds it. It calls `on_flood` once, when more than `flood_bytes` came.
    """

    def __init__(self, keep_bytes: int, flood_bytes: int, on_flood: Callable[[], None]) -> None:
        self._head_room = keep_bytes - keep_bytes // 2
        self._tail_room = keep_bytes // 2
        self._flood_bytes = flood_bytes
        self._on_flood = on_flood
        self._head = bytearray()
        self._tail = bytearray()
        self._total = 0
        self._digest = hashlib.sha256()
        self.flooded = False

    @property
    def cut(self) -> bool:
        """Tell whether bytes were left out between head and tail."""
        return self._total > self._head_room + self._tail_room

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes; never refuses, so that the writer is never blocked by a full limit."""
        self._total += len(chunk)
        self._digest.update(chunk)
        room = self._head_room - len(self._head)
        self._head += chunk[:room]
        self._tail += chunk[room:]
        if len(self._tail) > self._tail_room:
            del self._tail[: len(self._tail) - self._tail_room]
        if self._total > self._flood_bytes and not self.flooded:
            self.flooded = True
            self._on_flood()

    def stream(self) -> Stream:
        """Return what was taken in so far."""
        head, tail = bytes(self._head), bytes(self._tail)
        if not self.cut:
            head, tail = head + tail, b""
        return Stream(
            head=head.decode("utf-8", "replace"),
            tail=tail.decode("utf-8", "replace"),
            total_bytes=self._total,
            sha256=self._digest.hexdigest(),
            content=b"" if self.cut else head,
        )


def frames(receive: Callable[[int], bytes]) -> Iterator[tuple[int, bytes]]:
    """Yield (stream, bytes) from Docker's multiplexed output until it ends, also in the middle of a frame.

    receive: returns up to n bytes, b"" at the end.
    """
    while len(header := _exactly(receive, _FRAME_HEADER_BYTES)) == _FRAME_HEADER_BYTES:
        left = int.from_bytes(header[4:], "big")
        while left > 0:
            chunk = receive(min(left, _READ_BYTES))
            if not chunk:
                return
            left -= len(chunk)
            yield header[0], chunk


def _exactly(receive: Callable[[int], bytes], wanted: int) -> bytes:
    got = b""
    while len(got) < wanted and (chunk := receive(wanted - len(got))):
        got += chunk
    return got
