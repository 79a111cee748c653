"""After its final status a mission is silent: whoever works on it is told, and nothing is sent again."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
import yaml
from memory_company import OVER, MemoryCompany, memory_company

from actors import messages as m
from actors.performers.scripted import SCRIPTS

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
    """Wait until nobody has written for a while, and return how many messages there are."""
    async with asyncio.timeout(20):
        while True:
            before = len(company.mail())
            await asyncio.sleep(2.0)
            if len(company.mail()) == before:
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
