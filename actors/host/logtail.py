"""The end of a log file that another process writes."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path


def size_bytes(path: Path) -> int:
    """Return the size of a file, 0 when there is none."""
    return path.stat().st_size if path.exists() else 0


def tail(path: Path, from_byte: int) -> str:
    """Return the last lines a log got after `from_byte`, at most 20 and 4 KiB; nothing if it is gone."""
    with suppress(OSError), path.open("rb") as file:
        file.seek(max(from_byte, size_bytes(path) - 4096))
        return "\n".join(file.read(4096).decode(errors="replace").splitlines()[-20:])
    return ""
