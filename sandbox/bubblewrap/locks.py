"""One lock file for each order under bubblewrap; the kernel frees a lock when its holder dies."""

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def locked(path: Path) -> Iterator[bool]:
    """Hold a lock for the length of a block and remove its file; yields False when another has it."""
    lock = _take(path)
    if lock is None:
        yield False
        return
    try:
        yield True
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
        os.close(lock)


def sweep_locks(folder: Path, older_than_s: float) -> tuple[str, ...]:
    """Remove the lock files nobody holds, at least this old, and return their names."""
    swept = []
    for path in sorted(folder.iterdir()):
        with contextlib.suppress(FileNotFoundError):
            if time.time() - path.stat().st_mtime < older_than_s:
                continue
            with locked(path) as was_free:
                if was_free:
                    swept.append(path.name)
    return tuple(swept)


def _take(path: Path) -> int | None:
    while True:
        lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is_at(lock, path):
                return lock
            os.close(lock)  # its last holder removed the file after we had opened it
        except BlockingIOError:
            os.close(lock)
            return None


def _is_at(lock: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(lock), os.stat(path))
    except FileNotFoundError:
        return False
