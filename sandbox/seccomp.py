"""The system calls a program may make, as Docker's JSON profile and as the BPF program bubblewrap loads.

One list for both (`syscalls.txt`), so that a program meets the same refusals on both backends. Docker's own
default profile is not enough: seen with 20.10.24, it let through io_uring and AF_VSOCK, which no network
name space confines.
"""

import errno
import struct
from collections.abc import Iterator
from functools import cache
from importlib import resources

import msgspec

# CLONE_NEWNS | NEWCGROUP | NEWUTS | NEWIPC | NEWUSER | NEWPID | NEWNET: a clone that makes a new name space.
NAMESPACE_FLAGS = 0x7E020000
SOCKET_FAMILIES = (1, 2, 10, 16)  # AF_UNIX, AF_INET, AF_INET6, AF_NETLINK; never AF_VSOCK
PERSONALITIES = (0, 8, 0x20000, 0x20008, 0xFFFFFFFF)
CONDITIONAL = frozenset({"clone", "clone3", "socket", "personality"})

# Only a control group counts what these hold; under bubblewrap without one, a program does without them.
UNCOUNTED_MEMORY = frozenset({"memfd_create", "shmget"})

_AUDIT_ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_COLUMN = {"x86_64": 1, "aarch64": 2}
_X32_BIT = 0x40000000

_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_ALLOW, _ERRNO, _KILL = 0x7FFF0000, 0x00050000, 0x80000000
_OFFSET_NUMBER, _OFFSET_ARCH, _OFFSET_ARGUMENT = 0, 4, 16

Instruction = tuple[int, int, int, int]


class NoSyscallTable(Exception):
    """This machine's architecture has no column in `syscalls.txt`."""


@cache
def _rows() -> tuple[tuple[str, ...], ...]:
    text = resources.files("sandbox").joinpath("syscalls.txt").read_text("ascii")
    return tuple(tuple(line.split()) for line in text.splitlines() if line and not line.startswith("#"))


def numbers(machine: str) -> dict[str, int]:
    """Return the listed calls and their numbers on a machine (`platform.machine()`).

    Raises:
        NoSyscallTable: the machine is neither x86_64 nor aarch64.
    """
    if machine not in _COLUMN:
        raise NoSyscallTable(machine)
    column = _COLUMN[machine]
    return {row[0]: int(row[column]) for row in _rows() if row[column] != "-"}


@cache
def docker_profile() -> str:
    """Return the JSON that goes after `seccomp=` in a container's security options."""
    plain = sorted(row[0] for row in _rows() if row[0] not in CONDITIONAL)
    rules: list[dict[str, object]] = [
        {"names": plain, "action": "SCMP_ACT_ALLOW"},
        {
            "names": ["clone"],
            "action": "SCMP_ACT_ALLOW",
            "args": [{"index": 0, "value": NAMESPACE_FLAGS, "valueTwo": 0, "op": "SCMP_CMP_MASKED_EQ"}],
        },
        # ENOSYS makes glibc fall back to clone, whose flags a filter can see.
        {"names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": errno.ENOSYS},
        *(_allow_when_first_argument_is("socket", family) for family in SOCKET_FAMILIES),
        *(_allow_when_first_argument_is("personality", persona) for persona in PERSONALITIES),
    ]
    architectures = [
        {"architecture": f"SCMP_ARCH_{name.upper()}", "subArchitectures": []} for name in _COLUMN
    ]
    profile = {"defaultAction": "SCMP_ACT_ERRNO", "archMap": architectures, "syscalls": rules}
    return msgspec.json.encode(profile).decode()


def _allow_when_first_argument_is(call: str, value: int) -> dict[str, object]:
    return {
        "names": [call],
        "action": "SCMP_ACT_ALLOW",
        "args": [{"index": 0, "value": value, "valueTwo": 0, "op": "SCMP_CMP_EQ"}],
    }


def bpf_program(machine: str, *, without: frozenset[str] = UNCOUNTED_MEMORY) -> bytes:
    """Return the filter as `struct sock_filter[]`, to be read by bubblewrap from a file descriptor.

    Raises:
        NoSyscallTable: the machine is neither x86_64 nor aarch64.
    """
    table = numbers(machine)
    plain = sorted(number for name, number in table.items() if name not in CONDITIONAL | without)
    program = [
        (_LOAD, 0, 0, _OFFSET_ARCH),
        (_EQUAL, 1, 0, _AUDIT_ARCH[machine]),
        (_RETURN, 0, 0, _KILL),
        (_LOAD, 0, 0, _OFFSET_NUMBER),
        (_AT_LEAST, 0, 1, _X32_BIT),
        (_RETURN, 0, 0, _ERRNO | errno.EPERM),
        *_when(table["clone3"], [(_RETURN, 0, 0, _ERRNO | errno.ENOSYS)]),
        *_when(table["clone"], _unless_bits(NAMESPACE_FLAGS)),
        *_when(table["socket"], _one_of(SOCKET_FAMILIES)),
        *_when(table["personality"], _one_of(PERSONALITIES)),
        *_in_ranges(plain),
        (_RETURN, 0, 0, _ERRNO | errno.EPERM),
    ]
    return b"".join(struct.pack("=HBBI", *instruction) for instruction in program)


def _when(number: int, body: list[Instruction]) -> list[Instruction]:
    return [(_EQUAL, 0, len(body), number), *body]


def _unless_bits(mask: int) -> list[Instruction]:
    return [
        (_LOAD, 0, 0, _OFFSET_ARGUMENT),
        (_ANY_BIT, 0, 1, mask),
        (_RETURN, 0, 0, _ERRNO | errno.EPERM),
        (_RETURN, 0, 0, _ALLOW),
    ]


def _one_of(values: tuple[int, ...]) -> list[Instruction]:
    tests = [(_EQUAL, len(values) - place, 0, value) for place, value in enumerate(values)]
    return [
        (_LOAD, 0, 0, _OFFSET_ARGUMENT),
        *tests,
        (_RETURN, 0, 0, _ERRNO | errno.EPERM),
        (_RETURN, 0, 0, _ALLOW),
    ]


def _in_ranges(ordered: list[int]) -> Iterator[Instruction]:
    """Allow the numbers of a sorted list; a jump is at most 255 wide, so each range answers for itself."""
    first = previous = ordered[0]
    for number in [*ordered[1:], _X32_BIT]:
        if number == previous + 1:
            previous = number
            continue
        yield (_AT_LEAST, 3, 0, previous + 1)
        yield (_AT_LEAST, 0, 1, first)
        yield (_RETURN, 0, 0, _ALLOW)
        yield (_RETURN, 0, 0, _ERRNO | errno.EPERM)
        first = previous = number
