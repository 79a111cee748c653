"""Mends a nats-server whose disk was full or failed.

After a write error a stream of nats-server takes nothing more until the server is started again, also when
there is room again. Nothing is lost meanwhile: whoever publishes repeats it until it is acked.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

from actors.disk import shortage, unwritable

_LOOK_S = 1.0
PROBE_BYTES = 2 * 1024 * 1024
"""Twice the largest message, so that the first one after the restart does not hit the wall again."""

_FULL_BYTES = 1024 * 1024
"""The largest message: with less room than that the next one may be the one that fails."""

_BROKEN = b"critical write error"


async def broken(folder: Path, log: Path, start: int) -> str:
    """Return why a server cannot write to its folder: it says so in its log, from byte `start` on.

    Its log may be on the same disk, so a disk that takes no new file counts, too.
    """
    seen = start
    while True:
        if why := await asyncio.to_thread(shortage, folder, _FULL_BYTES):
            return why
        text = await asyncio.to_thread(_read, log, seen)
        whole = text.rpartition(b"\n")[0]
        for line in whole.splitlines():
            if _BROKEN in line.lower():
                return line.decode("utf-8", "replace").rpartition(": ")[2] or "it cannot write"
        seen += len(whole)
        await asyncio.sleep(_LOOK_S)


async def writable(folder: Path) -> None:
    """Return when a file of 2 MiB can be written to a folder and to its disk."""
    while await asyncio.to_thread(unwritable, folder, PROBE_BYTES):
        await asyncio.sleep(_LOOK_S)


def _read(log: Path, start: int) -> bytes:
    try:
        with log.open("rb") as file:
            file.seek(start)
            return file.read()
    except OSError:  # it could not be made, or somebody removed it
        return b""
