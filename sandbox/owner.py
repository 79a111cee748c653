"""Who started a run, and whether that process still lives: what a sweep goes by."""

import os
import socket
from pathlib import Path

import msgspec


class Owner(msgspec.Struct, frozen=True, kw_only=True):
    """Name one process for ever: `boot` and `start` (ticks since then) tell apart two of the same pid."""

    host: str
    boot: str
    pid: int
    start: str


def current_owner() -> Owner:
    """Return this process."""
    pid = os.getpid()
    return Owner(host=socket.gethostname(), boot=_boot_id(), pid=pid, start=_start_of(pid))


def is_dead(owner: Owner) -> bool:
    """Tell whether a process is known to be gone; one of another host is never known to be."""
    if owner.host != socket.gethostname():
        return False
    return owner.boot != _boot_id() or _start_of(owner.pid) != owner.start


def _boot_id() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()


def _start_of(pid: int) -> str:
    """Return a process's start as /proc tells it (proc(5), field 22), "" when there is no such process."""
    try:
        after_name = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace").rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return ""
    return "" if after_name[0] == "Z" else after_name[19]
