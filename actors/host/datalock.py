"""The lock of a data directory: who holds it, handed over to a process, and worth nothing in a copy.

The lock is the kernel's, on the open file `lock`; what that file says is for people, and for `coo down`.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from actors.host.alive import process_start

LOCK_VARIABLE = "COO_LOCK_FD"
"""The variable that hands a lock that is held already to the process that is to run under it."""

_SIGNED_S = 2.0
"""Time in which whoever has taken a lock says who they are."""


class Holder(msgspec.Struct, frozen=True, kw_only=True):
    """The process that holds the lock, as it wrote itself into the lock file; `place` is whose lock it is."""

    pid: int
    since: datetime
    process_start: str | None = None
    place: str = ""


class DataDirError(Exception):
    """The data directory cannot be used: `what` is wrong, and the `fix` a person can try."""

    def __init__(self, what: str, fix: str) -> None:
        self.what = what
        self.fix = fix
        super().__init__(f"{what}. {fix}")


class Locked(DataDirError):
    """Another `coo up` runs on this data directory; two servers on one store would corrupt the log."""

    def __init__(self, path: Path, holder: Holder | None) -> None:
        self.path = path
        self.pid = holder.pid if holder else None
        self.since = holder.since if holder else None
        by = f" (pid {holder.pid}, since {holder.since.astimezone():%H:%M})" if holder else ""
        super().__init__(
            f"{short(path)} is in use by coo up{by}",
            "Use it as it is, stop it with coo down, or start another with --data-dir",
        )


class Unusable(DataDirError):
    """The data directory cannot be made, read or written."""

    def __init__(self, path: Path, reason: str) -> None:
        self.path = path
        self.reason = reason
        super().__init__(
            f"Cannot use the data directory at {short(path)} ({reason})",
            "Make it readable and writable for this user, or choose another with --data-dir or COO_DATA_DIR",
        )


@contextmanager
def taken(path: Path) -> Iterator[int]:
    """Hold the lock of a folder: the one handed to this process, else a new one.

    Raises:
        Locked: somebody holds it.
        Unusable: it cannot be made or written, or the file system has no locks.
    """
    fd = _handed_over(path)
    if fd is None:
        fd = _take(path)
    try:
        yield fd
    finally:
        os.close(fd)


def sign(fd: int, path: Path, pid: int) -> None:
    """Write into the lock file which process holds it.

    Raises:
        Unusable: it cannot be written.
    """
    since = datetime.now(UTC)
    try:
        holder = Holder(pid=pid, since=since, process_start=process_start(pid), place=place_of(path))
        os.ftruncate(fd, 0)
        os.pwrite(fd, msgspec.json.encode(holder), 0)
    except OSError as error:
        raise Unusable(path, error.strerror or str(error)) from error


def holder_in(content: bytes, path: Path) -> Holder | None:
    """Return who says in a folder's lock file that they hold it, if they live and mean this very folder."""
    found = _holder(content)
    return found if found and _lives(found) and is_here(found.place, path) else None


def place_of(path: Path) -> str:
    """Return what tells a folder from every copy of it."""
    stat = path.stat()
    return f"{stat.st_dev}:{stat.st_ino}"


def is_here(place: str, path: Path) -> bool:
    """Say whether a file that names its folder was written in this one."""
    return place in ("", place_of(path))  # an older coo named none


def moved_from(place: str, path: Path) -> str:
    """Return what is wrong when a folder that is held (`place`, "" for none) does not stand at its path."""
    try:
        if is_here(place, path):
            return ""
    except (FileNotFoundError, NotADirectoryError):
        pass
    except OSError as error:
        return error.strerror or str(error)
    return "the folder of this company was moved away while it runs"


def short(path: Path) -> str:
    """Write a path as a person would: `~` for the home folder."""
    with suppress(RuntimeError, ValueError):  # no home at all, or another folder
        return f"~/{path.relative_to(Path.home())}"
    return str(path)


def _take(path: Path) -> int:
    try:
        fd = os.open(path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise Unusable(path, error.strerror or str(error)) from error
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.ftruncate(fd, 0)
    except BlockingIOError as error:
        holder = _signed(fd)
        os.close(fd)
        raise Locked(path, holder) from error
    except OSError as error:
        os.close(fd)
        raise Unusable(path, f"this file system has no locks: {error.strerror}") from error
    return fd


def _handed_over(path: Path) -> int | None:
    """Return the lock of this very folder that whoever started this process holds for it."""
    with suppress(OSError, ValueError):
        fd = int(os.environ.pop(LOCK_VARIABLE, ""))
        if os.path.samestat(os.fstat(fd), os.stat(path / "lock")):
            os.set_inheritable(fd, False)
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return fd
    return None


def _lives(holder: Holder) -> bool:
    start = process_start(holder.pid)
    return start is not None and start == holder.process_start


def _signed(fd: int) -> Holder | None:
    """Return who holds a lock that is held; who took it a moment ago is about to say so."""
    ends_s = time.monotonic() + _SIGNED_S
    while time.monotonic() < ends_s:
        found = _holder(os.pread(fd, 4096, 0))
        if found is not None and _lives(found):
            return found
        time.sleep(0.01)
    return None


def _holder(content: bytes) -> Holder | None:
    try:
        return msgspec.json.decode(content, type=Holder)
    except msgspec.DecodeError:  # it was taken a moment ago and not yet signed
        return None
