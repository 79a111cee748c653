"""Mail that a killed process held: how soon another, or the same one started again, handles it."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from running import Company, in_loop, running_company, until

from actors import messages as m
from actors.table import TABLE
from bus.envelope import open_letter
from bus.jetstream import connect
from bus.server.authority import variable
from bus.subjects import mission_of

BURST = 40
LONG_ACK_WAIT = {"COO_BUS__ACK_WAIT_S": "60"}
"""Mail that comes back sooner than this was given back."""


async def write(ceo: Any, word: str) -> list[str]:
    """Send decisions on nothing to the gate, which declines each; return their missions."""
    missions = [f"{word}-{n}" for n in range(BURST)]
    answer = m.Decision(digest="0" * 64, verdict="reject")
    letters = [
        open_letter(
            TABLE,
            sender="ceo",
            to="approval",
            mission=name,
            message=answer,
            id=f"id-{name}",
            time_ns=time.time_ns(),
        )
        for name in missions
    ]
    await asyncio.gather(*map(ceo.publish, letters))
    return missions


async def declined(ceo: Any) -> list[str]:
    """Return the mission of every answer of the gate, in the order of the log."""
    found: list[str] = []
    start = 1
    while page := await ceo.read("COO", "coo.m.*.ceo.declined.approval", start):
        found += [mission_of(stored.subject) for stored in page]
        start = page[-1].seq + 1
    return found


async def all_declined(ceo: Any, missions: list[str], within_s: float) -> None:
    async with asyncio.timeout(within_s):
        while not set(missions) <= set(await declined(ceo)):
            await asyncio.sleep(0.01)


def hold_and_die(company: Company, name: str, word: str, within_s: float) -> None:
    """Stop a process, send it mail, kill it; every mail must be answered in time, and once."""

    async def play() -> None:
        ceo = await connect(company.url, user="ceo", password=company.credentials["ceo"])
        try:
            company.kill(name, signal.SIGSTOP)
            missions = await write(ceo, word)
            company.kill(name)
            await all_declined(ceo, missions, within_s)
            answers = await declined(ceo)
            assert len(answers) == len(set(answers))
        finally:
            await ceo.close()

    in_loop(play)


def test_mail_of_a_killed_process_goes_to_the_second_one_long_before_ack_wait(tmp_path: Path) -> None:
    with running_company(tmp_path, "--replicas", "2", env=LONG_ACK_WAIT) as company:
        for number, name in enumerate(["approval", "approval-2", "approval"]):
            died = company.pids[name]
            hold_and_die(company, name, f"two{number}", within_s=10)
            company.until_restarted(name, died)
            company.until_serving()


def test_mail_of_a_killed_process_is_handled_by_its_next_life_long_before_ack_wait(tmp_path: Path) -> None:
    with running_company(tmp_path, env=LONG_ACK_WAIT) as company:
        company.until_serving()
        hold_and_die(company, "approval", "one", within_s=15)


@pytest.mark.slow
def test_a_process_that_gets_things_done_is_never_given_up(tmp_path: Path) -> None:
    with running_company(tmp_path, env=LONG_ACK_WAIT) as company:
        for number in range(12):  # more often than a crash loop may, in less time
            company.until_serving()
            died = company.pids["approval"]
            hold_and_die(company, "approval", f"again{number}", within_s=20)
            company.until_restarted("approval", died)
        assert company.happened("gave_up", "approval") == []


@pytest.fixture
def alone(nats: Any, tmp_path: Path) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Two processes of the gate that nobody supervises."""
    env = {**os.environ, variable("approval"): nats.passwords["approval"], "HOME": str(tmp_path)}
    argv = [sys.executable, "-m", "actors.process.main", "approval", "--server", nats.server.url]
    started = [
        subprocess.Popen([*argv, "--log", str(tmp_path / f"{n}.log")], env=env, cwd=tmp_path)
        for n in range(2)
    ]
    yield started
    for process in started:
        process.kill()
        process.wait()


async def test_without_a_supervisor_the_mail_comes_back_after_ack_wait(
    nats: Any, alone: list[subprocess.Popen[bytes]], ack_wait_s: float
) -> None:
    admin, ceo = await nats.connect("admin"), await nats.connect("ceo")
    async with asyncio.timeout(30):
        while (await admin.api("$JS.API.CONSUMER.INFO.COO.approval", {}))["num_waiting"] < 2:
            await asyncio.sleep(0.02)
    alone[0].send_signal(signal.SIGSTOP)
    missions = await write(ceo, "alone")
    alone[0].kill()
    await all_declined(ceo, missions, ack_wait_s + 10)
    answers = await declined(ceo)
    assert sorted(answers) == sorted(missions)


def test_a_company_whose_coo_up_is_killed_leaves_no_process(tmp_path: Path) -> None:
    with running_company(tmp_path) as company:
        family = company.family()
        assert len(family) > len(TABLE.processes)
        assert company.process is not None
        company.process.kill()
        until(lambda: not any(process.is_running() for process in family), what="nobody left")


@pytest.mark.slow
def test_an_actor_that_dies_at_every_start_is_given_up_and_the_others_go_on(tmp_path: Path) -> None:
    with running_company(tmp_path) as company:
        others = {name: pid for name, pid in company.pids.items() if name != "approval"}
        died: set[int] = set()

        def given_up() -> bool:
            pid = company.pids.get("approval")
            if pid not in (None, *died):
                died.add(company.kill("approval"))
            return bool(company.happened("gave_up", "approval"))

        until(given_up, timeout_s=120, what="approval is given up")
        assert len(died) == 10
        (event,) = company.happened("gave_up", "approval")
        assert event["reason"] == "10 crashes in 60 s, the last one: signal 9 (Killed)"
        assert {name: pid for name, pid in company.pids.items() if name != "approval"} == others
        done = company.coo("mission", "Write fizzbuzz", "--budget", "1", "--wait")
        assert done.returncode == 0, done.stderr
