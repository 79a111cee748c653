"""The whole company in memory: missions from goal to deliverable, and what stops them."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path
from typing import Any

import pytest
import yaml
from memory_company import OVER, MemoryCompany, memory_company

from actors import messages as m
from actors.performers.model.providers.scripted import SCRIPTS
from actors.projections.audit import prove
from actors.projections.guard import read_letters
from actors.roles.coo import raising
from actors.table import TABLE

CSV = "Build a CSV to JSON converter with tests"
FIZZBUZZ = "Write fizzbuzz"
ENDS = {
    "csv2json": "completed",
    "fizzbuzz": "completed",
    "wordcount": "completed",
    "todo": "completed",
    "slugify": "completed",
    "hopeless": "failed",
}


def script(name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((SCRIPTS / f"{name}.yaml").read_text("utf-8"))
    return loaded


def goal_of(name: str) -> str:
    goal: str = script(name)["goals"][0]
    return goal


def posted_exactly(company: MemoryCompany, mission: str = "m-1") -> int:
    """Check that each attempt is booked once, at what its usage says, and return the sum."""
    account = company.ledger().missions[mission]
    assert account.account.pending == 0
    assert {hold.status for hold in account.holds.values()} <= {"settled", "refused"}
    settled = sum(settle.microusd for settle in company.messages(mission, "budget", "settle"))
    assert account.account.posted == settled
    return account.account.posted


@pytest.mark.parametrize("name", sorted(ENDS))
async def test_every_packaged_script_plays_to_its_end(name: str) -> None:
    async with memory_company() as company:
        await company.mission(goal_of(name))
        status = await company.until(*OVER)

        assert status.state == ENDS[name], status.reason
        assert posted_exactly(company) > 0
        if name != "hopeless":
            outputs = {path for answer in script(name)["answers"] for path in _outputs(answer)}
            assert outputs <= set(await company.deliverable())
    ids = company.letters()
    assert len(ids) == len(set(ids))


def _outputs(answer: dict[str, Any]) -> list[str]:
    return [path for task in answer.get("tasks", []) for path in task.get("outputs", [])]


async def test_a_program_that_fails_its_acceptance_command_is_repaired() -> None:
    async with memory_company() as company:
        await company.mission(CSV)
        await company.until("completed")
        runs = company.messages("m-1", "engineer", "outcome")
        assert [run.exit_code == 0 for run in runs][:2] == [False, True]


async def test_qa_rejects_on_its_own_evidence_and_the_rework_is_judged_again() -> None:
    async with memory_company() as company:
        await company.mission(goal_of("wordcount"))
        await company.until("completed")
        verdicts = [r.status for r in company.messages("m-1", "coo", "result") if r.status != "done"]
        assert verdicts == ["rejected", "approved"]


async def test_two_missions_at_once_and_two_processes_of_every_role() -> None:
    async with memory_company(replicas=2) as company:
        await company.mission(CSV, "m-1")
        await company.mission(goal_of("wordcount"), "m-2")
        await company.until("completed", mission="m-1")
        await company.until("completed", mission="m-2")
        posted_exactly(company, "m-1")
        posted_exactly(company, "m-2")
    ids = company.letters()
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize("seed", range(4))
async def test_actors_killed_at_random_change_neither_the_end_nor_the_deliverable(seed: int) -> None:
    chance = random.Random(seed)
    async with memory_company(ack_wait_s=1) as company:
        await company.mission(CSV)
        victims = [chance.choice(TABLE.processes) for _ in range(6)]
        for victim in victims:
            await asyncio.sleep(chance.uniform(0.0, 0.25))
            await company.kill(victim)
            company.start(victim)
        status = await company.until(*OVER, timeout_s=60)
        assert status.state == "completed", status.reason
        deliverable = await company.deliverable()
        account = company.ledger().missions["m-1"]
        doubtful = [hold for hold in account.holds.values() if hold.status == "in_doubt"]
        exact = sum(settle.microusd for settle in company.messages("m-1", "budget", "settle"))
        assert account.account.pending == 0
        assert account.account.posted == exact + sum(hold.microusd for hold in doubtful)
    ids = company.letters()
    assert len(ids) == len(set(ids))
    async with memory_company() as calm:
        await calm.mission(CSV)
        await calm.until("completed")
        assert await calm.deliverable() == deliverable


# -- what must not complete ---------------------------------------------------------------------------


def changed(tmp_path: Path, name: str, change: Any) -> dict[str, str]:
    """Write a changed copy of a packaged script and return the settings that use it."""
    loaded = script(name)
    change(loaded)
    (tmp_path / f"{name}.yaml").write_text(yaml.safe_dump(loaded), "utf-8")
    return {"scripts": str(tmp_path)}


def wrong_program(loaded: dict[str, Any]) -> None:
    for answer in loaded["answers"]:
        if answer["turn"] == "code":
            answer["files"] = {
                path: content if "test" in path else "raise SystemExit('nothing here works')\n"
                for path, content in answer["files"].items()
            }


def gutted_tests(loaded: dict[str, Any]) -> None:
    """The program is wrong and its tests were made to pass: only QA's own checks can tell."""
    for answer in loaded["answers"]:
        if answer["turn"] == "code":
            answer["files"] = dict.fromkeys(answer["files"], "import unittest\n")


def acceptance(*argv: str) -> Any:
    def change(loaded: dict[str, Any]) -> None:
        for answer in loaded["answers"]:
            for task in answer.get("tasks", []):
                task["acceptance"] = list(argv)

    return change


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (wrong_program, "no round of"),
        (gutted_tests, ""),
        (acceptance("python3", "-c", "raise SystemExit(1)"), "no round of"),
        (acceptance("python3", "-m", "unittest", "no_such_test"), "no round of"),
        (acceptance("no-such-program"), "no round of"),
    ],
)
async def test_neither_a_wrong_program_nor_a_wrong_acceptance_command_completes(
    tmp_path: Path, change: Any, why: str
) -> None:
    async with memory_company(models=changed(tmp_path, "fizzbuzz", change)) as company:
        await company.mission(FIZZBUZZ)
        status = await company.until(*OVER)
        assert status.state == "failed"
        assert why in status.reason or "no_script" in status.reason
        assert status.deliverable == {}


@pytest.mark.parametrize("program", ["right", "wrong"])
async def test_an_acceptance_command_that_proves_nothing_decides_nothing(
    tmp_path: Path, program: str
) -> None:
    def change(loaded: dict[str, Any]) -> None:
        acceptance("true")(loaded)
        if program == "wrong":
            wrong_program(loaded)

    async with memory_company(models=changed(tmp_path, "fizzbuzz", change)) as company:
        await company.mission(FIZZBUZZ)
        status = await company.until(*OVER)
        assert status.state == ("completed" if program == "right" else "failed")
        assert status.rank == ("observed" if program == "right" else "")


async def test_a_goal_without_a_script_fails_and_names_the_goals_there_are() -> None:
    async with memory_company() as company:
        await company.mission("Take over the world")
        status = await company.until(*OVER)
        assert status.state == "failed"
        assert status.reason.startswith("no_script: the scripted model only knows these goals: ")
        assert CSV in status.reason
        assert company.messages("m-1", "budget", "reserve") == []


# -- money and approval -------------------------------------------------------------------------------


async def test_a_budget_too_small_for_one_call_pauses_before_any_call() -> None:
    async with memory_company() as company:
        await company.mission(FIZZBUZZ, budget=1)
        status = await company.until("paused_budget")
        assert status.refusal is not None
        assert (status.refusal.scope, status.refusal.remaining_microusd) == ("mission", 1)
        assert status.refusal.needed_microusd > 1
        assert company.messages("m-1", "budget", "sent") == []


async def test_without_limits_no_money_is_given() -> None:
    company = MemoryCompany(2, {})
    for process in TABLE.processes:
        company.start(process)
    await company.mission(FIZZBUZZ)
    status = await company.until("paused_budget")
    assert status.refusal is not None
    assert status.refusal.scope == "no_limits"
    await company.stop()


async def test_a_mission_out_of_money_asks_and_goes_on_with_the_same_work_when_the_cap_is_raised() -> None:
    async with memory_company() as company:
        await company.mission(FIZZBUZZ, budget=6_500, ask_raise=True)
        for _ in range(3):
            status = await company.until("paused_budget", "completed")
            if status.state == "completed":
                break
            assert status.refusal is not None
            assert status.refusal.scope == "mission"
            assert status.asks == raising.digest_of(status.cap_microusd, status.raise_microusd)
            await company.say("approval", "m-1", m.Decision(digest=status.asks, verdict="approve"))
            status = await company.until("paused_budget", "completed", later_than=status.at)
        if status.state == "paused_budget":  # it has asked three times: now it is the CEO's turn
            assert status.asks == ""
            more = m.Decision(digest="mine", verdict="approve", raise_microusd=100_000)
            await company.say("approval", "m-1", more)
            status = await company.until(*OVER)
        assert status.state == "completed"
        assert len(company.messages("m-1", "approval", "request")) in (1, 2, 3)
        assert posted_exactly(company) <= status.cap_microusd
        retried = [
            s for s in company.mail(lambda subject: ".call." in subject) if "coo-retry-of" in s.headers
        ]
        assert retried
        assert await audited(company) == []


async def test_a_raise_that_is_rejected_leaves_the_mission_paused_and_a_late_approval_counts_no_more() -> (
    None
):
    async with memory_company() as company:
        await company.mission(FIZZBUZZ, budget=1, ask_raise=True)
        asked = await company.until("paused_budget")
        await company.say("approval", "m-1", m.Decision(digest=asked.asks, verdict="reject", note="no"))
        status = await company.until("paused_budget", later_than=asked.at)
        assert "the CEO rejected the raise: no" in status.reason
        await company.say("approval", "m-1", m.Decision(digest=asked.asks, verdict="approve"))
        while not company.messages("m-1", "ceo", "declined"):
            await asyncio.sleep(0.01)
        assert company.messages("m-1", "budget", "raise") == []


@pytest.mark.parametrize(("policy", "goes_on"), [("resume", True), ("wait", False)])
async def test_a_mission_that_waits_for_the_day_goes_on_at_midnight_if_its_terms_say_so(
    policy: Any, goes_on: bool
) -> None:
    async with memory_company() as company:
        small = m.Limits(day_microusd=12_000, month_microusd=200_000_000, mission_microusd=1)
        await company.say("budget", "company", small, id="small")
        await company.mission(goal_of("wordcount"), on_new_day=policy, pause_timeout_s=7 * 86_400)
        paused = await company.until("paused_budget")
        assert paused.refusal is not None
        assert paused.refusal.scope == "day"
        company.clock_shift_ns += 86_400 * 10**9
        await asyncio.sleep(1.5)
        status = company.status()
        assert status is not None
        assert (status.at > paused.at) == goes_on
        assert await audited(company) == []


def work_of(company: MemoryCompany) -> tuple[Any, ...]:
    """Return what a mission has made so far: tasks, workspaces, verdicts, deliverable."""
    status = company.status()
    assert status is not None
    results = [r for r in company.messages("m-1", "coo", "result") if r.status != "refused"]
    outcomes = company.messages("m-1", "engineer", "outcome") + company.messages("m-1", "qa", "outcome")
    answers = [r for r in company.messages("m-1", "engineer", "reply") if r.status == "answered"]
    tasks = [(task.title, task.attempts) for task in status.tasks]
    return tasks, results, outcomes, answers, status.deliverable


@pytest.mark.parametrize("budget", [7_000, 9_500, 12_000, 15_000])
async def test_budget_exceeded_rolls_everything_back(budget: int) -> None:
    """A refused call leaves everything as it was before it, and nothing half-made is delivered."""
    async with memory_company() as company:
        await company.mission(CSV, budget=budget)
        paused = await company.until("paused_budget")
        before, account = work_of(company), company.ledger().missions["m-1"].account
        assert paused.deliverable == {}
        assert account.pending == 0
        refused = company.messages("m-1", "coo", "result") or company.messages("m-1", "coo", "reply")
        assert refused[-1].status == "refused"
        await company.say("coo", "m-1", m.Control(action="resume"))
        again = await company.until("paused_budget", later_than=paused.at)
        assert work_of(company) == before
        assert company.ledger().missions["m-1"].account == account
        await company.say("approval", "m-1", m.Decision(digest="x", verdict="approve", raise_microusd=10**6))
        status = await company.until(*OVER, later_than=again.at)
        assert status.state == "completed"
        delivered = await company.deliverable()
        assert await audited(company) == []
    async with memory_company() as calm:
        await calm.mission(CSV)
        await calm.until("completed")
        assert await calm.deliverable() == delivered


async def audited(company: MemoryCompany) -> list[str]:
    """Prove every prefix of the ledger, and return what is wrong with it."""
    return prove(await read_letters(company.ceo)).violations


@pytest.mark.parametrize(("verdict", "end"), [("approve", "completed"), ("reject", "failed")])
async def test_a_release_waits_for_the_ceo_who_decides_on_exactly_what_was_asked(
    verdict: Any, end: m.State
) -> None:
    async with memory_company() as company:
        await company.mission(FIZZBUZZ, ask_release=True)
        asked = await company.until("paused_approval")
        assert asked.deliverable
        await company.say("approval", "m-1", m.Decision(digest="0" * 64, verdict="approve"))
        await company.say("approval", "m-1", m.Decision(digest=asked.asks, verdict=verdict, note="so"))
        status = await company.until(*OVER)
        await company.say("approval", "m-1", m.Decision(digest=asked.asks, verdict="reject"))
        while len(company.messages("m-1", "ceo", "declined")) < 2:
            await asyncio.sleep(0.01)
        assert status.state == end
        assert bool(status.deliverable) == (end == "completed")


async def test_an_approval_nobody_gives_expires_and_is_not_a_rejection() -> None:
    async with memory_company() as company:
        await company.mission(FIZZBUZZ, ask_release=True, approval_timeout_s=1)
        asked = await company.until("paused_approval")
        expired = await company.until("paused_approval", later_than=asked.at)
        assert expired.reason == "nobody decided on the release in time"
        await company.say("approval", "m-1", m.Decision(digest=asked.asks, verdict="approve"))
        await company.until("completed")


# -- the CEO interferes -------------------------------------------------------------------------------


async def test_a_paused_mission_stands_still_and_resumes_where_it_was() -> None:
    async with memory_company() as company:
        await company.mission(CSV)
        await company.until("executing")
        await company.say("coo", "m-1", m.Control(action="pause"))
        paused = await company.until("paused_manual")
        await asyncio.sleep(2.5)
        before = len(company.mail())
        await asyncio.sleep(0.5)
        assert len(company.mail()) == before
        await company.say("coo", "m-1", m.Control(action="resume"))
        await company.until("completed", later_than=paused.at)


async def test_a_cancelled_mission_is_over_and_stays_over() -> None:
    async with memory_company() as company:
        await company.mission(CSV)
        await company.until("executing")
        await company.say("coo", "m-1", m.Control(action="cancel", reason="changed my mind"))
        status = await company.until("cancelled")
        assert status.reason == "changed my mind"
        await company.say("coo", "m-1", m.Control(action="resume"))
        while not company.messages("m-1", "ceo", "declined"):
            await asyncio.sleep(0.01)


async def test_a_pause_that_nobody_ends_fails_the_mission() -> None:
    async with memory_company() as company:
        await company.mission(FIZZBUZZ, budget=1, pause_timeout_s=1)
        await company.until("paused_budget")
        status = await company.until("failed")
        assert status.reason.startswith("paused_timeout")


async def test_mail_that_an_actor_cannot_decide_pauses_the_mission_and_says_what_to_do() -> None:
    async with memory_company() as company:
        await company.mission(FIZZBUZZ)
        await company.say("coo", "m-2", m.Control(action="pause"))
        from bus.envelope import Outgoing

        await company.ceo.publish(Outgoing("coo.m.m-1.engineer.task.coo", {"ce-id": "bad"}, b"{}"))
        status = await company.until("paused_error")
        assert "engineer could not handle message" in status.reason
        assert "coo dlq" in status.fix
        await company.say("coo", "m-1", m.Control(action="resume"))
        await company.until("completed")
