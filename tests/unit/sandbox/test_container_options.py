"""From an order and a policy to a container's walls."""

import os

from sandbox import Order, Policy
from sandbox.bubblewrap.confinement import program_limits
from sandbox.docker.containers import container_options, dead_man_s, host_options, labels, owner_from
from sandbox.owner import Owner, give_up, is_dead, new_owner
from sandbox.program import effective_timeout_s

OWNER = Owner(host="h", boot="b", pid=7, start="99", serial="1")
ORDER = Order(id="m-1.qa.5", argv=("true",), timeout_s=500.0)


def test_every_wall_is_up_whatever_the_policy() -> None:
    host = host_options(Policy(memory_bytes=1000, pids=5), OWNER)
    walls = {
        "network_mode": "none",
        "read_only": True,
        "cap_drop": ["ALL"],
        "mem_limit": 1000,
        "memswap_limit": 1000,
        "pids_limit": 5,
        "log_config": {"Type": "none", "Config": {}},
        "ipc_mode": "private",
        "cgroupns": "private",
    }
    assert {wall: host[wall] for wall in walls} == walls
    assert "no-new-privileges:true" in host["security_opt"]
    assert any(option.startswith("seccomp={") for option in host["security_opt"])


def test_the_holder_outlives_the_program_but_not_for_ever() -> None:
    assert dead_man_s(effective_timeout_s(ORDER, Policy(timeout_s=10.0))) == 130
    assert dead_man_s(10.0, waiting_s=600.0) == 730
    options = container_options("coo-run-x", "sha256:1", 130, OWNER)
    assert options["entrypoint"] == ["sleep", "130"]
    assert (options["name"], options["image"], options["user"], options["network_disabled"]) == (
        "coo-run-x",
        "sha256:1",
        "65533:65533",
        True,
    )


def test_the_policys_time_out_is_the_maximum() -> None:
    assert effective_timeout_s(ORDER, Policy(timeout_s=10.0)) == 10.0
    assert effective_timeout_s(ORDER, Policy(timeout_s=1000.0)) == 500.0


def test_labels_bring_the_owner_back() -> None:
    assert owner_from(labels(OWNER)) == OWNER
    assert owner_from({}) == Owner(host="", boot="", pid=0, start="")


def test_an_owner_is_dead_when_its_pid_is_anothers_or_the_machine_was_restarted() -> None:
    me = new_owner()
    assert not is_dead(me)
    assert is_dead(Owner(host=me.host, boot=me.boot, pid=os.getpid(), start="1"))
    assert is_dead(Owner(host=me.host, boot="earlier", pid=me.pid, start=me.start))
    assert is_dead(Owner(host=me.host, boot=me.boot, pid=2**22 + 1, start="1"))
    give_up(me)
    assert is_dead(me)


def test_an_owner_of_another_host_is_never_known_to_be_dead() -> None:
    assert not is_dead(OWNER)
    assert not is_dead(owner_from({}))


def test_bubblewraps_limits_follow_the_policy() -> None:
    assert program_limits(Policy(memory_bytes=10, pids=3, open_files=9, workspace_bytes=7)) == {
        "NPROC": 3,
        "NOFILE": 9,
        "FSIZE": 7,
        "DATA": 20,
        "CORE": 0,
    }


def test_in_a_control_group_no_process_has_a_limit_of_its_own_on_memory_or_processes() -> None:
    limits = program_limits(Policy(open_files=9, workspace_bytes=7), in_group=True)
    assert limits == {"NOFILE": 9, "FSIZE": 7, "CORE": 0}
