"""After its final status a mission is silent: whoever works on it is told, and nothing is sent again."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
import yaml
from memory_company import OVER, MemoryCompany, memory_company

from actors import messages as m
from actors.performers.model.providers.scripted import SCRIPTS

CSV = "Build a CSV to JSON converter with tests"
FIZZBUZZ = "Write fizzbuzz"
TOLD = {"approval", "budget", "clock", "engineer", "qa"}


def slow(tmp_path: Path) -> dict[str, str]:
    """Return models whose plan has an acceptance command that runs for long."""
    loaded = yaml.safe_load((SCRIPTS / "fizzbuzz.yaml").read_text("utf-8"))
    for answer in loaded["answers"]:
        for task in answer.get("tasks", []):
            task["acceptance"] = ["python3", "-c", "import time; time.sleep(50)"]
    (tmp_path / "fizzbuzz.yaml").write_text(yaml.safe_dump(loaded), "utf-8")
    return {"scripts": str(tmp_path)}


async def quiet(company: MemoryCompany) -> int:
    """Wait until nobody has written of the mission for a while, and return how many messages it has."""

    def written() -> int:
        return len(company.mail(lambda subject: subject.startswith("coo.m.m-1.")))

    async with asyncio.timeout(20):
        while True:
            before = written()
            await asyncio.sleep(2.0)
            if written() == before:
                return before


async def cancel(company: MemoryCompany) -> None:
    await company.say("coo", "m-1", m.Control(action="cancel"))


async def let_the_deadline_pass(company: MemoryCompany) -> None:
    company.clock_shift_ns += 3600 * 10**9


@pytest.mark.parametrize("end", [cancel, let_the_deadline_pass])
async def test_a_mission_that_ends_while_an_order_is_out_is_silent(tmp_path: Path, end: Any) -> None:
    async with memory_company(models=slow(tmp_path)) as company:
        await company.mission(FIZZBUZZ, deadline_s=3600)
        while not company.mail(lambda subject: ".sandbox.execute." in subject):
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.5)
        await end(company)
        status = await company.until(*OVER)
        assert status.state in ("cancelled", "failed")
        await quiet(company)
        assert [outcome.status for outcome in company.messages("m-1", "engineer", "outcome")] == ["dropped"]
        assert len(company.messages("m-1", "sandbox", "execute")) == 1
        closed = company.mail(lambda subject: ".close." in subject)
        assert {stored.subject.split(".")[3] for stored in closed} == TOLD


async def test_no_time_that_a_mission_waited_for_comes_after_its_end() -> None:
    async with memory_company() as company:
        await company.mission(FIZZBUZZ, deadline_s=3600, park_after_s=600, ask_release=True)
        asked = await company.until("paused_approval")
        await quiet(company)
        assert len(company.messages("m-1", "clock", "wake")) == 4
        await cancel(company)
        await company.until("cancelled")
        before = await quiet(company)
        company.clock_shift_ns += 30 * 86_400 * 10**9
        assert await quiet(company) == before
        await company.say("approval", "m-1", m.Decision(digest=asked.asks, verdict="approve"))
        async with asyncio.timeout(10):
            while not company.messages("m-1", "ceo", "declined"):
                await asyncio.sleep(0.01)
        assert await quiet(company) == before + 2


async def test_a_mission_that_is_done_tells_everybody_and_is_silent() -> None:
    async with memory_company() as company:
        await company.mission(CSV)
        await company.until("completed")
        await quiet(company)
        closed = company.mail(lambda subject: ".close." in subject)
        assert sorted(stored.subject.split(".")[3] for stored in closed) == sorted(TOLD)
