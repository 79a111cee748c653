"""What Linux lets a process give up for good, by the system calls that Python has no name for.

Landlock (kernel 5.13) takes away files, and with them /proc and the memory of every process outside; a filter
takes away sockets that are no network: Docker's engine listens on one. Nothing here needs any privilege.
"""

from __future__ import annotations

import ctypes
import os
import platform
import resource
import struct
import sys
from collections.abc import Iterable
from pathlib import Path

_libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None

_GET_DEATH_SIGNAL, _SET_DEATH_SIGNAL, _SET_DUMPABLE, _SET_SECCOMP = 2, 1, 4, 22
_DROP_BOUND, _SET_NO_NEW_PRIVILEGES = 24, 38
_LAST_CAPABILITY = 63

# The same numbers on every architecture, as for all system calls since 5.1.
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_ASK_VERSION, _PATH_BENEATH = 1, 1
_READ_FILE, _READ_FOLDER = 1 << 2, 1 << 3
_FILE_RIGHTS = {1: 13, 2: 14, 3: 15, 5: 16}
"""How many rights over files each version of Landlock knows; those not given are refused."""
_BIND_TCP = 1
_SCOPES = 0b11  # abstract sockets and signals of processes outside

# Architecture as audit names it, then socket(2), clone(2), and what is refused: fork and vfork where there
# are such, unshare, setns, ptrace, process_vm_readv and -writev, bpf, perf_event_open, userfaultfd.
_MACHINES = {
    "x86_64": (0xC000003E, 41, 56, (57, 58, 272, 308, 101, 310, 311, 321, 298, 323)),
    "aarch64": (0xC00000B7, 198, 220, (97, 268, 117, 270, 271, 280, 241, 282)),
}
_IO_URING_SETUP, _CLONE3, _PIDFD_GETFD = 425, 435, 438
_NEW_NAME_SPACES, _THREAD = 0x7E020000, 0x10000
_X32 = 0x40000000
_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_ALLOW, _REFUSE, _UNKNOWN, _KILL = 0x7FFF0000, 0x00050001, 0x00050026, 0x80000000
_AF_UNIX = 1


def _prctl(option: int, *arguments: object) -> bool:
    if _libc is None:
        return False
    padded = (*arguments, *(ctypes.c_ulong(0),) * (4 - len(arguments)))
    return bool(_libc.prctl(option, *padded) == 0)


def stop_dumps() -> bool:
    """Close this process's memory, environment and open files to others of its user; False: not possible."""
    return _prctl(_SET_DUMPABLE, ctypes.c_ulong(0))


def death_signal() -> int:
    """Return the signal that this process gets when its parent ends; 0 is none."""
    number = ctypes.c_int(0)
    _prctl(_GET_DEATH_SIGNAL, ctypes.byref(number))
    return number.value


def ask_for_death_signal(number: int) -> bool:
    """Ask for a signal when the parent ends. A change of user forgets it."""
    return _prctl(_SET_DEATH_SIGNAL, ctypes.c_ulong(number))


def stop_new_privileges() -> bool:
    """Let no program started from now on have more rights than this process."""
    return _prctl(_SET_NO_NEW_PRIVILEGES, ctypes.c_ulong(1))


def keep_few_files(most: int) -> bool:
    """Let this process have no more than so many files and sockets open."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    least = most if hard == resource.RLIM_INFINITY else min(most, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (least, least))
    return True


def drop_capabilities() -> bool:
    """Give up what root may do besides owning its files."""
    if _libc is None:
        return False
    for capability in range(_LAST_CAPABILITY + 1):
        _prctl(_DROP_BOUND, ctypes.c_ulong(capability))
    header = struct.pack("=Ii", 0x20080522, 0)
    return bool(_libc.capset(header, bytes(24)) == 0)


def landlock_version() -> int:
    """Return the version of Landlock that this kernel has, 0 for none."""
    if _libc is None:
        return 0
    flags = ctypes.c_ulong(_ASK_VERSION)
    return max(0, int(_libc.syscall(_CREATE_RULESET, None, ctypes.c_ulong(0), flags)))


def keep_only(readable: Iterable[Path]) -> bool:
    """Keep from now on only the reading of these files and folders, of those that exist; False: not possible.

    What is open stays open. Also refused: to listen on TCP (version 4), to signal any process outside
    (version 6), and to look into any. Only this thread and those it starts are bound.
    """
    version = landlock_version()
    if _libc is None or version == 0:
        return False
    rights = (1 << _FILE_RIGHTS[max(known for known in _FILE_RIGHTS if known <= version)]) - 1
    wanted = (rights, _BIND_TCP if version >= 4 else 0, _SCOPES if version >= 6 else 0)
    attributes = struct.pack("=QQQ", *wanted)[: 24 if version >= 6 else 16 if version >= 4 else 8]
    size = ctypes.c_ulong(len(attributes))
    rules = int(_libc.syscall(_CREATE_RULESET, attributes, size, ctypes.c_ulong(0)))
    if rules < 0:
        return False
    try:
        for path in readable:
            _allow(rules, path)
        return bool(_libc.syscall(_RESTRICT_SELF, ctypes.c_long(rules), ctypes.c_ulong(0)) == 0)
    finally:
        os.close(rules)


def _allow(rules: int, path: Path) -> None:
    assert _libc is not None
    try:
        place = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:  # it is not there, so it needs no right
        return
    try:
        right = _READ_FILE | _READ_FOLDER if path.is_dir() else _READ_FILE
        rule = struct.pack("=Qi", right, place)
        _libc.syscall(_ADD_RULE, ctypes.c_long(rules), ctypes.c_ulong(_PATH_BENEATH), rule, ctypes.c_ulong(0))
    finally:
        os.close(place)


def keep_only_the_network() -> bool:
    """Refuse sockets of this machine, new processes and looking into others; False: not possible.

    io_uring goes too, which no filter sees, and what reads the kernel's memory.
    """
    machine = platform.machine()
    if _libc is None or machine not in _MACHINES:
        return False
    program = _filter(*_MACHINES[machine])
    code = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *step) for step in program))
    filter_ = ctypes.create_string_buffer(struct.pack("@HP", len(program), ctypes.addressof(code)))
    return _prctl(_SET_SECCOMP, ctypes.c_ulong(2), filter_)


def _filter(architecture: int, socket: int, clone: int, refused: tuple[int, ...]) -> list[tuple[int, ...]]:
    """Return a program of seccomp's: operation, steps to skip if so, and if not, and a value."""
    no = (_RETURN, 0, 0, _REFUSE)
    return [
        (_LOAD, 0, 0, 4),
        (_EQUAL, 1, 0, architecture),
        (_RETURN, 0, 0, _KILL),
        (_LOAD, 0, 0, 0),
        (_AT_LEAST, 0, 1, _X32),
        no,
        # Python's library then falls back to clone, whose flags a filter can see.
        *((_EQUAL, 0, 1, _CLONE3), (_RETURN, 0, 0, _UNKNOWN)),
        *(step for call in (*refused, _IO_URING_SETUP, _PIDFD_GETFD) for step in ((_EQUAL, 0, 1, call), no)),
        *((_EQUAL, 0, 5, clone), (_LOAD, 0, 0, 16), (_ANY_BIT, 1, 0, _NEW_NAME_SPACES)),
        *((_ANY_BIT, 1, 0, _THREAD), no, (_RETURN, 0, 0, _ALLOW)),
        *((_EQUAL, 0, 3, socket), (_LOAD, 0, 0, 16), (_EQUAL, 0, 1, _AF_UNIX), no),
        (_RETURN, 0, 0, _ALLOW),
    ]
