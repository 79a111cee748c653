"""Who started a run, and whether that process still lives: what a sweep goes by."""

import os
import secrets
import socket
from pathlib import Path

import msgspec


class Owner(msgspec.Struct, frozen=True, kw_only=True):
    """Name one process for ever: `boot` and `start` (ticks since then) tell apart two of the same pid.

    serial: which of the process's backends; "" for none.
    """

    host: str
    boot: str
    pid: int
    start: str
    serial: str = ""


_living: set[str] = set()  # serials of this process


def new_owner() -> Owner:
    """Return this process under a new serial; dead from `give_up` on."""
    pid = os.getpid()
    serial = secrets.token_hex(4)
    _living.add(serial)
    return Owner(host=socket.gethostname(), boot=_boot_id(), pid=pid, start=_start_of(pid), serial=serial)


def give_up(owner: Owner) -> None:
    """Declare an owner of this process dead: what it could not remove is left to a sweep."""
    _living.discard(owner.serial)


def is_dead(owner: Owner) -> bool:
    """Tell whether a process is known to be gone; one of another host is never known to be."""
    if owner.host != socket.gethostname():
        return False
    if owner.boot != _boot_id() or _start_of(owner.pid) != owner.start:
        return True
    return owner.pid == os.getpid() and owner.serial not in _living


def _boot_id() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()


def _start_of(pid: int) -> str:
    """Return a process's start as /proc tells it (proc(5), field 22), "" when there is no such process."""
    try:
        after_name = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace").rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return ""
    return "" if after_name[0] == "Z" else after_name[19]
