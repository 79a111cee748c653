"""Cancellation, death of the owner, and what is left afterwards."""

import asyncio
import contextlib
import gc
import os
import subprocess
import sys
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path

import psutil
import pytest

from sandbox import Backend, Order, Policy, Unavailable, choose_backend
from sandbox.docker.attached import Attached
from sandbox.docker.engine import Engine

Until = Callable[[Callable[[], object]], Awaitable[None]]
HostPids = Callable[[str], list[int]]

ROOT = Path(__file__).parents[3]

OWNER = """
import asyncio, sys
from sandbox import Order, Policy, choose_backend
async def main():
    backend = await choose_backend(sys.argv[1], Policy(pool=0))
    await backend.run(Order(id=sys.argv[2], argv=("sleep", sys.argv[3])))
asyncio.run(main())
"""


def start_owner(backend: str, order: str, seconds: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-c", OWNER, backend, order, seconds],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )


def host_words(word: str) -> list[list[str]]:
    """Return the command lines on this machine that have a word."""
    found = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            words = file.read_bytes().decode("utf-8", "replace").rstrip("\0").split("\0")
            if word in words:
                found.append(words)
    return found


def our_bwraps() -> list[psutil.Process]:
    """Return the sandboxes this process started; others may run some at the same time."""
    return [child for child in psutil.Process().children() if child.name() == "bwrap"]


def container_of(engine: Engine, order: str) -> str:
    (found,) = (one.id for one in engine.made_here() if one.order == order)
    return found


async def cancel(task: asyncio.Task[object]) -> None:
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_cancelling_a_running_order_leaves_nothing(
    backend: Backend, until: Until, host_pids: HostPids
) -> None:
    task = asyncio.create_task(backend.run(Order(id="test-cancel", argv=("sleep", "4712.25"))))
    await until(lambda: len(host_pids("4712.25")) > 0)
    await cancel(task)
    assert host_pids("4712.25") == []


@pytest.mark.parametrize("delay_s", [0.0, 0.03, 0.08, 0.15, 0.25, 0.35])
async def test_cancelling_at_any_moment_leaves_nothing(
    backend: Backend, host_pids: HostPids, delay_s: float
) -> None:
    task = asyncio.create_task(backend.run(Order(id="test-cancel", argv=("sleep", "4713.25"))))
    await asyncio.sleep(delay_s)
    await cancel(task)
    assert host_pids("4713.25") == []
    assert (await backend.run(Order(id="test-cancel", argv=("true",)))).status == "ok"


@pytest.mark.docker
@pytest.mark.parametrize("times", [1, 2])
async def test_cancelling_while_the_engine_connects_leaves_no_socket_open(
    docker_backend: Backend, until: Until, monkeypatch: pytest.MonkeyPatch, times: int
) -> None:
    connected, may_go_on = threading.Event(), threading.Event()
    connect = Engine.start_program

    def late(engine: Engine, exec_id: str) -> Attached:
        attached = connect(engine, exec_id)
        connected.set()
        may_go_on.wait(10)
        return attached

    monkeypatch.setattr(Engine, "start_program", late)
    task = asyncio.create_task(docker_backend.run(Order(id="test-cancel", argv=("sleep", "4719.25"))))
    assert await asyncio.to_thread(connected.wait, 10)
    for _ in range(times):
        task.cancel()
        await asyncio.sleep(0.02)  # the second one comes while the first one waits for the connection
    asyncio.get_running_loop().call_later(0.05, may_go_on.set)
    with pytest.raises(asyncio.CancelledError):
        await task
    await until(lambda: not any("_hang_up" in repr(other) for other in asyncio.all_tasks()))
    await until(may_go_on.is_set)
    await asyncio.sleep(0.05)  # so that it has come, also where nobody waits for it
    del task
    gc.collect()  # a socket that was dropped open becomes this test's error


@pytest.mark.docker
async def test_a_sweep_removes_the_dead_owners_run_and_no_other(
    docker_backend: Backend, engine: Engine, until: Until, host_pids: HostPids
) -> None:
    owner = start_owner("docker", "test-orphan", "4714.25")
    mine = asyncio.create_task(docker_backend.run(Order(id="test-mine", argv=("sleep", "4715.25"))))
    await until(lambda: host_pids("4715.25") and len(host_pids("4714.25")) > 1)
    owner.kill()
    owner.wait()
    orphan, running = (container_of(engine, order) for order in ("test-orphan", "test-mine"))
    too_young = await docker_backend.sweep(older_than_s=3600)
    swept = await docker_backend.sweep()
    again = await docker_backend.sweep()
    await cancel(mine)
    assert orphan not in too_young
    assert orphan in swept
    assert orphan not in again
    assert running not in {*too_young, *swept, *again}


@pytest.mark.docker
async def test_a_sweep_removes_a_frozen_run_too(
    docker_backend: Backend, engine: Engine, until: Until, host_pids: HostPids
) -> None:
    owner = start_owner("docker", "test-frozen", "4716.25")
    await until(lambda: len(host_pids("4716.25")) > 1)
    engine.pause("coo-run-test-frozen")
    owner.kill()
    owner.wait()
    await docker_backend.sweep()
    assert engine.find("coo-run-test-frozen") is None


@pytest.mark.docker
async def test_a_dead_owners_order_can_be_run_again_at_once(
    docker_backend: Backend, until: Until, host_pids: HostPids
) -> None:
    owner = start_owner("docker", "test-again", "4717.25")
    await until(lambda: len(host_pids("4717.25")) > 1)
    owner.kill()
    owner.wait()
    assert (await docker_backend.run(Order(id="test-again", argv=("true",)))).status == "ok"


@pytest.mark.docker
async def test_a_container_ended_from_outside_is_killed(
    docker_backend: Backend, engine: Engine, until: Until, host_pids: HostPids
) -> None:
    program = Order(id="test-outside", argv=("sh", "-c", "echo up; exec sleep 4718.25"))
    task = asyncio.create_task(docker_backend.run(program))
    await until(lambda: any(words == ["sleep", "4718.25"] for words in host_words("4718.25")))
    engine.kill("coo-run-test-outside")
    outcome = await task
    assert (outcome.status, outcome.stdout.head) == ("killed", "up\n")


@pytest.mark.docker
async def test_a_child_out_of_memory_is_told_though_the_program_ended_well(docker_backend: Backend) -> None:
    code = "import subprocess as s; s.run(['python', '-c', 'x = bytearray(10**9)']); print('fine')"
    outcome = await docker_backend.run(Order(id="test-child", argv=("python", "-c", code)))
    assert (outcome.status, outcome.stdout.head, outcome.limits_hit) == ("ok", "fine\n", ("memory_bytes",))


@pytest.mark.docker
async def test_a_missing_image_names_the_fix(engine: Engine) -> None:
    with pytest.raises(Unavailable) as missing:
        await choose_backend("docker", Policy(image="coo-sandbox:no-such-tag"))
    assert missing.value.fix == "run `coo sandbox build`"


async def test_a_missing_engine_names_the_fix() -> None:
    with pytest.raises(Unavailable) as missing:
        await choose_backend("docker", Policy(docker_host="unix:///no/such.sock"))
    assert missing.value.fix.startswith("install Docker")


async def test_without_an_engine_auto_is_bubblewrap(bubblewrap_backend: Backend) -> None:
    chosen = await choose_backend("auto", Policy(docker_host="unix:///no/such.sock"))
    assert chosen.name == "bubblewrap"
    await chosen.close()


async def test_with_nothing_that_isolates_nothing_is_chosen() -> None:
    with pytest.raises(Unavailable, match=r"Docker: .*; bubblewrap: "):
        await choose_backend("auto", Policy(docker_host="unix:///no/such.sock", runtime_dir="/proc/nowhere"))


async def test_a_bubblewrap_run_dies_with_its_owner(
    bubblewrap_backend: Backend, until: Until, host_pids: HostPids
) -> None:
    owner = start_owner("bubblewrap", "test-orphan", "4719.25")
    await until(lambda: len(host_pids("4719.25")) > 1)
    owner.kill()
    owner.wait()
    await until(lambda: not host_pids("4719.25"))
    assert (await bubblewrap_backend.run(Order(id="test-orphan", argv=("true",)))).status == "ok"


async def test_root_never_runs_bubblewrap_as_root(
    bubblewrap_backend: Backend, until: Until, host_pids: HostPids
) -> None:
    task = asyncio.create_task(bubblewrap_backend.run(Order(id="test-uid", argv=("sleep", "4720.25"))))
    await until(lambda: len(host_pids("4720.25")) > 0)
    owners = {child.uids().real for child in our_bwraps()}
    assert owners
    assert 0 not in owners
    await cancel(task)


async def test_a_killed_bubblewrap_is_killed_not_failed(
    bubblewrap_backend: Backend, until: Until, host_pids: HostPids
) -> None:
    task = asyncio.create_task(bubblewrap_backend.run(Order(id="test-outside", argv=("sleep", "4721.25"))))
    await until(lambda: host_pids("4721.25"))
    for child in our_bwraps():
        child.kill()
    assert (await task).status == "killed"
