"""Real children of a supervisor: crashes, restarts, stops, and nothing left behind."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from actors.host.children import EX_UNAVAILABLE
from actors.host.supervisor import EX_CONFIG, ProcessEvent, ProcessSpec, RestartPolicy, Supervisor

Until = Callable[[Callable[[], object]], Awaitable[None]]
Lives = Callable[[int], bool]

SLEEP = "import time; print('up', flush=True); time.sleep(600)"
OBEY = """
import signal, sys
signal.signal(signal.SIGTERM, lambda *_: sys.exit(print("drained", flush=True)))
print("up", flush=True)
signal.pause()
"""
DEFY = """
import signal
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("up", flush=True)
while True:
    signal.pause()
"""
RAISE = "raise RuntimeError('out of ink')"
TELL = """
import os, sys, time
print(len(sys.stdin.read()), sorted(os.environ), flush=True)
time.sleep(600)
"""
GRANDCHILD = """
import subprocess, sys, time
print(subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"]).pid, flush=True)
time.sleep(600)
"""
QUICK = RestartPolicy(first_delay_s=0.01, max_delay_s=0.05, max_crashes=4)


class Company:
    """Specs and events of one test, with logs under a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.events: list[ProcessEvent] = []

    def spec(self, name: str, code: str, stdin: bytes | None = None, **env: str) -> ProcessSpec:
        argv = [sys.executable, "-c", code]
        return ProcessSpec(name=name, argv=argv, env=env, log=self.folder / f"{name}.log", stdin=stdin)

    def supervise(self, *specs: ProcessSpec, policy: RestartPolicy = QUICK) -> Supervisor:
        return Supervisor(specs, self.events.append, policy)

    def said(self, name: str) -> list[str]:
        log = self.folder / f"{name}.log"
        return log.read_text().splitlines() if log.exists() else []

    def kinds(self, name: str) -> list[str]:
        return [event.kind for event in self.events if event.name == name]

    def last(self, name: str) -> ProcessEvent:
        return [event for event in self.events if event.name == name][-1]


@pytest.fixture
def company(tmp_path: Path) -> Company:
    return Company(tmp_path)


async def test_children_run_until_asked_to_end(company: Company, until: Until, lives: Lives) -> None:
    async with company.supervise(company.spec("a", OBEY), company.spec("b", OBEY)) as supervisor:
        pids = supervisor.pids()
        assert set(pids) == {"a", "b"}
        assert all(map(lives, pids.values()))
        await until(lambda: company.said("a") and company.said("b"))
    assert not any(map(lives, pids.values()))
    assert supervisor.pids() == {}
    assert company.kinds("a") == ["started", "stopped"]
    assert company.last("a") == ProcessEvent(
        kind="stopped", name="a", pid=pids["a"], returncode=0, reason="exit code 0", tail="up\ndrained"
    )


async def test_a_child_gets_its_configuration_and_only_its_own_environment(
    company: Company, until: Until
) -> None:
    spec = company.spec("a", TELL, b"x" * 300_000, LC_ALL="C", COO_PASSWORD="secret")
    async with company.supervise(spec):
        await until(lambda: company.said("a"))
    assert company.said("a") == ["300000 ['COO_PASSWORD', 'LC_ALL']"]


async def test_a_killed_child_is_started_again_at_once(company: Company, until: Until) -> None:
    async with company.supervise(company.spec("a", SLEEP), company.spec("b", SLEEP)) as supervisor:
        before = supervisor.pids()
        await until(lambda: company.said("a"))
        os.kill(before["a"], signal.SIGKILL)
        await until(lambda: supervisor.pids().get("a", before["a"]) != before["a"])
        assert supervisor.pids()["b"] == before["b"]
    crash = company.events[2]
    assert crash == ProcessEvent(
        kind="crashed",
        name="a",
        pid=before["a"],
        returncode=-9,
        reason="signal 9 (Killed)",
        tail="up",
        restart_in_s=0.0,
    )
    assert company.kinds("a") == ["started", "crashed", "started", "stopped"]


async def test_a_child_that_ends_unasked_is_started_again_even_with_exit_code_0(
    company: Company, until: Until
) -> None:
    async with company.supervise(company.spec("a", "pass")):
        await until(lambda: company.kinds("a").count("started") >= 2)
    assert company.events[1].kind == "crashed"
    assert company.events[1].returncode == 0


async def test_a_crash_loop_is_given_up_and_the_others_go_on(company: Company, until: Until) -> None:
    async with company.supervise(company.spec("bad", RAISE), company.spec("good", OBEY)) as supervisor:
        await until(lambda: "gave_up" in company.kinds("bad"))
        assert list(supervisor.pids()) == ["good"]
        assert company.kinds("bad") == ["started", "crashed"] * 3 + ["started", "gave_up"]
        assert company.kinds("good") == ["started"]
    last = company.last("bad")
    assert last.reason == "4 crashes in 60 s, the last one: exit code 1"
    assert last.tail.endswith("RuntimeError: out of ink")
    assert last.tail.count("Traceback") == 1
    assert company.said("bad").count("RuntimeError: out of ink") == 4


async def test_what_was_handled_in_between_keeps_a_child_from_being_given_up(
    company: Company, until: Until
) -> None:
    def handle(event: ProcessEvent) -> None:
        company.events.append(event)
        supervisor.handled("a")

    supervisor = Supervisor([company.spec("a", RAISE)], handle, QUICK)
    async with supervisor:
        await until(lambda: company.kinds("a").count("crashed") >= 6)
    assert "gave_up" not in company.kinds("a")


async def test_bad_configuration_is_given_up_at_once(company: Company) -> None:
    code = f"import sys; print('no such model', file=sys.stderr); sys.exit({EX_CONFIG})"
    async with company.supervise(company.spec("a", code)) as supervisor:
        await supervisor.wait()
    assert company.kinds("a") == ["started", "gave_up"]
    assert company.last("a").reason == "exit code 78: starting it again would not help"
    assert company.last("a").tail == "no such model"


async def test_a_program_that_is_not_there_is_given_up_with_the_reason(company: Company) -> None:
    spec = ProcessSpec(name="a", argv=["/nowhere/actor"], env={}, log=company.folder / "a.log")
    async with company.supervise(spec) as supervisor:
        assert supervisor.pids() == {}
        await supervisor.wait()
    assert company.kinds("a") == ["crashed"] * 3 + ["gave_up"]
    assert company.last("a").returncode == EX_UNAVAILABLE
    assert company.last("a").pid is None
    assert "/nowhere/actor" in company.last("a").tail


async def test_a_child_that_ignores_the_request_is_killed(
    company: Company, until: Until, lives: Lives
) -> None:
    async with company.supervise(company.spec("deaf", DEFY), company.spec("good", OBEY)) as supervisor:
        pids = supervisor.pids()
        await until(lambda: company.said("deaf") and company.said("good"))
        await supervisor.stop(timeout_s=0.3)
    assert not any(map(lives, pids.values()))
    assert company.last("deaf").returncode == -signal.SIGKILL
    assert company.last("good").returncode == 0


async def test_a_second_stop_kills_at_once(company: Company, until: Until, lives: Lives) -> None:
    async with company.supervise(company.spec("deaf", DEFY)) as supervisor:
        pid = supervisor.pids()["deaf"]
        await until(lambda: company.said("deaf"))
        patient = asyncio.create_task(supervisor.stop(timeout_s=600))
        await asyncio.sleep(0)
        await supervisor.stop(now=True)
        assert not lives(pid)
        await patient


async def test_a_stop_while_waiting_to_restart_does_not_wait(company: Company, until: Until) -> None:
    slow = RestartPolicy(first_delay_s=600)
    async with company.supervise(company.spec("a", RAISE), policy=slow) as supervisor:
        await until(lambda: company.kinds("a").count("crashed") == 2)
        async with asyncio.timeout(20):
            await supervisor.stop(timeout_s=600)
    assert company.kinds("a") == ["started", "crashed", "started", "crashed"]


async def test_a_cancelled_stop_leaves_nothing_running(company: Company, until: Until, lives: Lives) -> None:
    supervisor = company.supervise(company.spec("deaf", DEFY))
    async with supervisor:
        pid = supervisor.pids()["deaf"]
        await until(lambda: company.said("deaf"))
        stopping = asyncio.create_task(supervisor.stop(timeout_s=600))
        await asyncio.sleep(0)
        stopping.cancel()
        with pytest.raises(asyncio.CancelledError):
            await stopping
        assert not lives(pid)


async def test_a_cancelled_start_leaves_nothing_running(company: Company, lives: Lives) -> None:
    async def run() -> None:
        async with company.supervise(*(company.spec(f"a{n}", SLEEP) for n in range(5))):
            await asyncio.sleep(600)

    for turns in range(12):
        running = asyncio.create_task(run())
        for _ in range(turns):
            await asyncio.sleep(0)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
    assert company.kinds("a0").count("started") == company.kinds("a0").count("stopped")
    assert not any(lives(event.pid) for event in company.events if event.pid)


async def test_an_error_in_the_block_stops_the_children(company: Company, lives: Lives) -> None:
    with pytest.raises(ZeroDivisionError):
        async with company.supervise(company.spec("a", SLEEP)):
            raise ZeroDivisionError
    assert company.events[0].pid is not None
    assert not lives(company.events[0].pid)


async def test_an_error_of_the_listener_is_not_lost(company: Company, lives: Lives) -> None:
    pids = []

    def listen(event: ProcessEvent) -> None:
        pids.append(event.pid)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        async with Supervisor([company.spec("a", SLEEP)], listen):
            pass
    assert not lives(pids[0] or 0)


async def test_what_a_dead_child_leaves_behind_is_killed(
    company: Company, until: Until, lives: Lives
) -> None:
    async with company.supervise(company.spec("a", GRANDCHILD)) as supervisor:
        child = supervisor.pids()["a"]
        await until(lambda: company.said("a"))
        grandchild = int(company.said("a")[0])
        assert lives(grandchild)
        os.kill(child, signal.SIGKILL)
        await until(lambda: not lives(grandchild))
        await until(lambda: len(company.said("a")) == 2)
    await until(lambda: not lives(int(company.said("a")[1])))
