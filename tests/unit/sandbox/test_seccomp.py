"""The filter, run by an interpreter of the few instructions it uses."""

import errno
import json
import struct

import pytest

from sandbox.seccomp import NoSyscallTable, bpf_program, docker_profile, numbers

ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
ALLOW, KILL = 0x7FFF0000, 0x80000000


def refuse(code: int) -> int:
    return 0x00050000 | code


def verdict(machine: str, number: int, argument: int = 0, arch: int | None = None) -> int:
    """Return what the kernel would: seccomp_data is number, arch, instruction pointer, arguments."""
    fields = struct.pack("=IIQQ", number, ARCH[machine] if arch is None else arch, 0, argument)
    place = accumulator = 0
    program = list(struct.iter_unpack("=HBBI", bpf_program(machine)))
    while True:
        code, true, false, operand = program[place]
        place += 1
        match code:
            case 0x20:
                (accumulator,) = struct.unpack_from("=I", fields, operand)
            case 0x06:
                return int(operand)
            case _:
                test = {
                    0x15: accumulator == operand,
                    0x35: accumulator >= operand,
                    0x45: accumulator & operand,
                }
                place += true if test[code] else false


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_every_number_is_allowed_exactly_when_it_is_listed(machine: str) -> None:
    table = numbers(machine)
    special = {"clone", "clone3", "socket", "personality", "memfd_create", "shmget"}
    plain = {number for name, number in table.items() if name not in special}
    skip = {table[name] for name in special if name in table}
    for number in set(range(600)) - skip:
        assert verdict(machine, number) == (ALLOW if number in plain else refuse(errno.EPERM)), number


def test_conditions_hold() -> None:
    table = numbers("x86_64")
    assert verdict("x86_64", table["clone3"]) == refuse(errno.ENOSYS)
    assert verdict("x86_64", table["clone"], 0x11) == ALLOW
    assert verdict("x86_64", table["clone"], 0x10000011) == refuse(errno.EPERM)
    assert [verdict("x86_64", table["socket"], family) for family in (1, 2, 10, 16)] == [ALLOW] * 4
    assert verdict("x86_64", table["socket"], 40) == refuse(errno.EPERM)
    assert verdict("x86_64", table["personality"], 0xFFFFFFFF) == ALLOW
    assert verdict("x86_64", table["personality"], 0x40000) == refuse(errno.EPERM)
    assert verdict("x86_64", table["memfd_create"]) == refuse(errno.EPERM)


def test_another_architecture_and_the_x32_numbers_are_refused() -> None:
    assert verdict("x86_64", 0, arch=0x40000003) == KILL
    assert verdict("x86_64", 0x40000000) == refuse(errno.EPERM)


def test_an_unknown_machine_has_no_filter() -> None:
    with pytest.raises(NoSyscallTable):
        bpf_program("riscv64")


def test_dockers_profile_denies_by_default_and_lists_nothing_dangerous() -> None:
    profile = json.loads(docker_profile())
    names = {name for rule in profile["syscalls"] if "args" not in rule for name in rule["names"]}
    assert profile["defaultAction"] == "SCMP_ACT_ERRNO"
    assert not names & {
        "bpf",
        "ptrace",
        "io_uring_setup",
        "keyctl",
        "mount",
        "unshare",
        "setns",
        "socket",
        "clone",
    }


def test_what_a_control_group_counts_can_be_allowed() -> None:
    assert len(bpf_program("x86_64", without=frozenset())) != len(bpf_program("x86_64"))
