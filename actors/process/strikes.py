"""Marks and strikes of one actor's processes: a small file that outlives them, mapped into each.

    version | 32 slots, one a living process: mailbox, sequence, whether it is being handled | strikes

A process holds a lock on its slot for as long as it lives, so a mark in a slot that nobody holds was left by
a death. Whoever finds it counts a strike for that mail: the supervisor, or the next process that starts. A
mark is a write to memory; the kernel keeps it when the process is killed, and nothing is synced to disk.

While something is marked a timer of the kernel's runs on the processor time that this process uses: what does
not end, in C code too, is killed by it.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import signal
import struct
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

CPU_S = 10.0
"""Processor time for one decision, or one step of work on an order. The slowest known takes 0.1 s."""

_VERSION = struct.Struct("<Q")
_RECORD = struct.Struct("<24sQQ")
_SLOTS = 32
_STRIKES = 128
_FIRST_SLOT = _RECORD.size
_FIRST_STRIKE = _FIRST_SLOT + _SLOTS * _RECORD.size
_SIZE = _FIRST_STRIKE + _STRIKES * _RECORD.size
_COUNT = _RECORD.size - 8
_TABLE_LOCK = _SIZE
_ACTIVE = b"\x01" + b"\x00" * 7
_IDLE = b"\x00" * 8


class Strikes:
    """One process's part in the file, or only the timer without a file. One at a time in a process.

    Raises:
        OSError: the file cannot be made or mapped, or has no free slot.
    """

    def __init__(self, path: Path | None, cpu_s: float = CPU_S) -> None:
        self._cpu_s = cpu_s
        self._fd = -1
        self._seen = 0
        self._counts: dict[tuple[str, int], int] = {}
        self._names: dict[str, bytes] = {}
        if path is None:
            self._map: mmap.mmap | bytearray = bytearray(_SIZE)
        else:
            self._fd, self._map = _opened(path)
            _count_dead(self._fd, self._map)
        self._slot = _FIRST_SLOT + self._claim() * _RECORD.size
        self._flag = slice(self._slot + _COUNT, self._slot + _RECORD.size)

    def _claim(self) -> int:
        for slot in range(_SLOTS):
            if self._fd < 0 or _try_lock(self._fd, slot):
                return slot
        raise OSError(f"{_SLOTS} processes of this actor run already")

    def enter(self, mailbox: str, seq: int) -> None:
        name = self._names.get(mailbox) or self._names.setdefault(mailbox, mailbox.encode())
        _RECORD.pack_into(self._map, self._slot, name, seq, 1)
        signal.setitimer(signal.ITIMER_PROF, self._cpu_s)

    def leave(self) -> None:
        signal.setitimer(signal.ITIMER_PROF, 0.0)
        self._map[self._flag] = _IDLE

    def strike(self, mailbox: str, seq: int) -> None:
        with _locked(self._fd):
            _change(self._map, mailbox, seq, 1)

    def strikes(self, mailbox: str, seq: int) -> int:
        (version,) = _VERSION.unpack_from(self._map)
        if version != self._seen:
            self._seen = version
            self._counts = {(name, at): count for _, name, at, count in _records(self._map)}
        return self._counts.get((mailbox, seq), 0) if self._counts else 0

    def forgive(self, mailbox: str, seq: int) -> None:
        if self.strikes(mailbox, seq):
            with _locked(self._fd):
                _change(self._map, mailbox, seq, None)

    def close(self) -> None:
        """Let go of the slot. A mark that stands is then that of a dead process."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def count_dead(path: Path) -> list[tuple[str, int, int]]:
    """Count a strike for each mark of a dead process; return what was marked: mailbox, sequence, strikes.

    For a process without a slot.

    Raises:
        OSError: the file cannot be read or written.
    """
    fd, mapped = _opened(path)
    try:
        return _count_dead(fd, mapped)
    finally:
        os.close(fd)


def _opened(path: Path) -> tuple[int, mmap.mmap]:
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        _reserve(fd)
        return fd, mmap.mmap(fd, _SIZE)
    except BaseException:
        os.close(fd)
        raise


def _reserve(fd: int) -> None:
    """Give the file its whole size on the disk: a write to a map without room there is a SIGBUS."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(fd, 0, _SIZE)
    elif os.fstat(fd).st_size < _SIZE:
        os.truncate(fd, _SIZE)


def _count_dead(fd: int, mapped: mmap.mmap) -> list[tuple[str, int, int]]:
    found = []
    with _locked(fd):
        for slot in range(_SLOTS):
            at = _FIRST_SLOT + slot * _RECORD.size
            name, seq, active = _RECORD.unpack_from(mapped, at)
            if active and _try_lock(fd, slot):
                mapped[at + _COUNT : at + _RECORD.size] = _IDLE
                found.append((_text(name), seq, _change(mapped, _text(name), seq, 1)))
                fcntl.lockf(fd, fcntl.LOCK_UN, 1, slot)
    return found


def _try_lock(fd: int, slot: int) -> bool:
    with suppress(BlockingIOError, PermissionError):  # POSIX lets a lock that is held be either
        fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, slot)
        return True
    return False


@contextmanager
def _locked(fd: int) -> Iterator[None]:
    if fd < 0:
        yield
        return
    fcntl.lockf(fd, fcntl.LOCK_EX, 1, _TABLE_LOCK)
    try:
        yield
    finally:
        fcntl.lockf(fd, fcntl.LOCK_UN, 1, _TABLE_LOCK)


def _records(mapped: mmap.mmap | bytearray) -> Iterator[tuple[int, str, int, int]]:
    for n in range(_STRIKES):
        at = _FIRST_STRIKE + n * _RECORD.size
        name, seq, count = _RECORD.unpack_from(mapped, at)
        if count:
            yield at, _text(name), seq, count


def _change(mapped: mmap.mmap | bytearray, mailbox: str, seq: int, by: int | None) -> int:
    """Add to a mail's strikes, or forget them (None); return them. A full table forgets its oldest mail."""
    records = list(_records(mapped))
    here = next((r for r in records if r[1:3] == (mailbox, seq)), None)
    if here is not None:
        at, count = here[0], here[3]
    elif len(records) < _STRIKES:
        taken = {record[0] for record in records}
        spaces = range(_FIRST_STRIKE, _SIZE, _RECORD.size)
        at, count = next(space for space in spaces if space not in taken), 0
    else:
        at, count = min(records, key=lambda record: record[2])[0], 0
    count = 0 if by is None else count + by
    _RECORD.pack_into(mapped, at, mailbox.encode(), seq, count)
    (version,) = _VERSION.unpack_from(mapped)
    _VERSION.pack_into(mapped, 0, version + 1)
    return count


def _text(name: bytes) -> str:
    return name.rstrip(b"\x00").decode("ascii", "replace")
