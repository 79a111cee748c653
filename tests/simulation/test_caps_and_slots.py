"""Missions that wait for a slot, give one back, or run into a cap on tokens: the whole company in memory."""

from __future__ import annotations

import asyncio

from memory_company import MemoryCompany, memory_company

from actors import messages as m
from actors.projections.audit import prove
from actors.projections.guard import read_letters

CSV = "Build a CSV to JSON converter with tests"
FIZZBUZZ = "Write fizzbuzz"
WAITS = "all slots (1) are taken: it waits until another mission ends or is paused for long"


async def limited(company: MemoryCompany, slots: int) -> None:
    limits = m.Limits(day_microusd=10**9, month_microusd=10**9, mission_microusd=1, slots=slots)
    await company.say("budget", "company", limits, id="slots")
    while not any(".limits." in stored.subject for stored in company.mail()):
        await asyncio.sleep(0.01)


def opened_in_order(company: MemoryCompany) -> list[str]:
    return [stored.subject.split(".")[2] for stored in company.mail(lambda s: ".coo.opened." in s)]


async def audited(company: MemoryCompany) -> list[str]:
    return prove(await read_letters(company.ceo)).violations


async def test_missions_beyond_the_slots_wait_say_so_and_go_on_by_priority() -> None:
    async with memory_company() as company:
        await limited(company, 1)
        for name, priority in (("m-1", 0), ("m-2", 0), ("m-3", 9)):
            await company.mission(FIZZBUZZ, name, priority=priority)
            while not company.messages(name, "budget", "open"):
                await asyncio.sleep(0.01)
        waiting = await company.until("created", mission="m-2", later_than=3)
        assert waiting.reason == WAITS
        for name in ("m-1", "m-2", "m-3"):
            done = await company.until("completed", mission=name)
            assert done.reason == ""
        assert opened_in_order(company) == ["m-1", "m-3", "m-2"]
        calls = [stored.subject.split(".")[2] for stored in company.mail(lambda s: ".model-coo.call." in s)]
        assert calls == ["m-1", "m-3", "m-2"]  # nobody is planned before it has a slot
        assert await audited(company) == []


async def test_a_long_pause_gives_the_slot_to_another_and_ends_behind_it() -> None:
    async with memory_company() as company:
        await limited(company, 1)
        await company.mission(CSV, "m-1", park_after_s=1)
        await company.until("executing", mission="m-1")
        await company.say("coo", "m-1", m.Control(action="pause"))
        paused = await company.until("paused_manual", mission="m-1")
        await company.mission(FIZZBUZZ, "m-2", ask_release=True)
        asked = await company.until("paused_approval", mission="m-2")  # it got the slot of the other
        await company.say("coo", "m-1", m.Control(action="resume"))
        waits = await company.until("executing", mission="m-1", later_than=paused.at)
        while not (status := company.status("m-1")) or not status.reason:
            await asyncio.sleep(0.01)
        assert status.reason == WAITS
        await asyncio.sleep(0.2)
        assert company.messages("m-1", "engineer", "go_on") == []
        await company.say("approval", "m-2", m.Decision(digest=asked.asks, verdict="approve"))
        await company.until("completed", mission="m-2")
        await company.until("completed", mission="m-1", later_than=waits.at)
        assert opened_in_order(company) == ["m-1", "m-2", "m-1"]
        assert await audited(company) == []


async def test_a_pause_that_ends_in_time_keeps_the_slot() -> None:
    async with memory_company() as company:
        await limited(company, 1)
        await company.mission(CSV, "m-1", park_after_s=600)
        await company.until("executing")
        await company.say("coo", "m-1", m.Control(action="pause"))
        paused = await company.until("paused_manual")
        await company.say("coo", "m-1", m.Control(action="resume"))
        await company.until("completed", later_than=paused.at)
        assert company.messages("m-1", "budget", "park") == []


async def test_a_role_out_of_tokens_pauses_and_goes_on_with_the_same_work_when_its_cap_is_raised() -> None:
    async with memory_company() as company:
        await company.mission(FIZZBUZZ, role_tokens={"engineer": 100})
        paused = await company.until("paused_budget")
        assert paused.refusal is not None
        assert (paused.refusal.scope, paused.refusal.remaining_tokens) == ("role_tokens", 100)
        assert "no tokens: the next call may take" in paused.reason
        assert company.messages("m-1", "budget", "sent") != []  # the plan was paid: only one role is capped
        more = m.Decision(digest="mine", verdict="approve", raise_tokens={"engineer": 1_000_000})
        await company.say("approval", "m-1", more)
        status = await company.until("completed", later_than=paused.at)
        assert status.cap_microusd == 1_000_000
        assert await audited(company) == []
