"""Whole missions in which a plan is at fault, a run makes a file, or QA approves what was not handed in."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from memory_company import MODELS, OVER, MemoryCompany, memory_company

from actors import messages as m
from actors.roles.coo.results import on_result
from actors.roles.coo.standing import Desk, Job
from actors.roles.evidence import digest_of
from bus.envelope import Mail
from bus.table import Ref

GOOD = ["python3", "-c", "import greet; open('made.txt', 'w').write('made')"]
MARK = """
from pathlib import Path

for answer in Path("answers").iterdir():
    good = (answer / "stdout").read_text() == "hello\\n"
    print(f"PASS {answer.name}" if good else f"FAIL {answer.name}: no greeting")
"""
EXAM = {
    "turn": "exam",
    "cases": [{"name": "greets", "argv": ["python3", "greet.py"]}],
    "marker": ["python3", "qa_exam/mark.py"],
    "files": {"qa_exam/mark.py": MARK},
}
GREET = {"greet.py": 'print("hello")\n'}
CODE = {"turn": "code", "files": GREET}
JUDGE = {"turn": "judge", "verdict": "approved", "reason": "it greets"}


def plan(acceptance: list[str], round_: int = 0, **more: Any) -> dict[str, Any]:
    task = {
        "title": "Greet",
        "brief": "Print hello.",
        "acceptance": acceptance,
        "outputs": ["greet.py"],
        **more,
    }
    return {"turn": "plan", "round": round_, "tasks": [task]}


async def played(folder: Path, *answers: dict[str, Any]) -> tuple[MemoryCompany, m.Status]:
    script = {"name": "greet", "about": "greets", "goals": ["Greet"], "answers": answers}
    (folder / "greet.yaml").write_text(json.dumps(script))
    async with memory_company(models={"scripts": str(folder)}) as company:
        await company.mission("Greet")
        status = await company.until(*OVER)
        for path, content in (await company.deliverable()).items():
            (folder / path).write_bytes(content)
    return company, status


def said(company: MemoryCompany) -> list[str]:
    return [result.status for result in company.messages("m-1", "coo", "result")]


@pytest.mark.parametrize("command", [["no-such-program"], ["./greet.py"]])
async def test_a_command_that_cannot_run_is_planned_anew_at_no_round_of_the_engineer(
    tmp_path: Path, command: list[str]
) -> None:
    answers = [plan(command), plan(GOOD, 1), CODE, EXAM, JUDGE]
    company, status = await played(tmp_path, *answers)
    assert (status.state, said(company)) == ("completed", ["blocked", "done", "approved"])
    again = company.messages("m-1", "model-coo", "call")[1]
    assert "An earlier plan of this could not be carried out." in again.variables["goal"]
    assert f"its command was: {' '.join(command)}" in again.variables["goal"]


async def test_an_engineer_who_is_blocked_is_heard_twice(tmp_path: Path) -> None:
    blocked = {"turn": "code", "blocked": "the brief contradicts itself"}
    company, status = await played(tmp_path, *(plan(GOOD, number) for number in range(3)), blocked)
    assert (status.state, said(company)) == ("failed", ["blocked"] * 3)
    assert "blocked again: task 1, engineer: the brief contradicts itself" in status.reason


async def test_a_brief_that_the_judge_finds_wrong_is_planned_anew(tmp_path: Path) -> None:
    wrong = {"turn": "judge", "verdict": "rejected", "at_fault": "brief", "reason": "greets whom?"}
    company, status = await played(tmp_path, plan(GOOD), plan(GOOD, 1), plan(GOOD, 2), CODE, EXAM, wrong)
    assert (status.state, said(company)) == ("failed", ["done", "blocked"] * 3)
    assert "greets whom?" in status.reason


async def test_a_file_that_the_acceptance_command_makes_is_delivered(tmp_path: Path) -> None:
    made = plan(GOOD, outputs=["greet.py", "made.txt"])
    _, status = await played(tmp_path, made, CODE, EXAM, JUDGE)
    assert (status.state, status.rank) == ("completed", "observed")
    assert (tmp_path / "made.txt").read_bytes() == b"made"
    assert status.deliverable["made.txt"].owner == "sandbox"


@pytest.mark.parametrize(
    ("path", "more", "told"),
    [
        ("qa_exam/mark.py", {}, "Nothing may be written to qa_exam/"),
        ("QA_EXAM/mark.py", {}, "Nothing may be written to qa_exam/"),
        ("kept.py", {"protected": ["kept.py"]}, "These files may not be changed: kept.py"),
    ],
)
async def test_what_an_engineer_may_not_write_is_told_to_it(
    tmp_path: Path, path: str, more: dict[str, Any], told: str
) -> None:
    bad = {"turn": "code", "files": {**GREET, path: "x\n"}}
    company, status = await played(tmp_path, plan(GOOD, **more), bad, {**CODE, "round": 1}, EXAM, JUDGE)
    assert status.state == "completed"
    assert path not in status.deliverable
    assert told in company.messages("m-1", "model-engineer", "call")[1].variables["findings"]


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"outputs": ["qa_exam/x.py"]}, "Greet names qa_exam/x.py, which is QA's"),
        ({"protected": ["greet.py"]}, "Greet is to write greet.py, and must not change it"),
    ],
)
async def test_a_plan_that_cannot_be_carried_out_is_refused(
    tmp_path: Path, more: dict[str, Any], why: str
) -> None:
    _, status = await played(tmp_path, plan(GOOD, **more))
    assert (status.state, status.reason) == ("failed", f"invalid_plan: {why}")


# -- what QA approves -----------------------------------------------------------------------------------

WORK = {"a.py": Ref(owner="model-engineer", digest="1" * 64, size=1)}
DIGEST = digest_of(WORK)


@pytest.mark.parametrize(
    ("evidence", "said", "stage", "rank"),
    [
        ("observed", {"examined": DIGEST, "rank": "observed"}, "finishing", "observed"),
        ("observed", {"examined": "other", "rank": "observed"}, "reviewing", ""),
        ("observed", {"examined": DIGEST, "rank": "claimed"}, "reviewing", ""),
        ("claimed", {"examined": DIGEST, "rank": "claimed"}, "finishing", "claimed"),
        ("claimed", {"examined": "other", "rank": "claimed"}, "reviewing", ""),
    ],
)
def test_an_approval_counts_for_what_was_handed_in_and_on_evidence_that_is_enough(
    evidence: Any, said: dict[str, Any], stage: str, rank: str
) -> None:
    terms = m.Terms(models=MODELS, evidence=evidence)
    task = m.PlannedTask(title="t", brief="b", acceptance=("true",))
    desk = Desk(
        mission=m.Mission(goal="g", budget_microusd=1, terms=terms),
        stage="reviewing",
        jobs=(Job(plan=task, state="reviewing"),),
        work=WORK,
    )
    result = m.Result(number=0, rework=0, status="approved", **said)
    mail = Mail(
        seq=1,
        now_ns=1,
        mission="m",
        to="coo",
        kind="result",
        sender="qa",
        id="i",
        message=result,
        cause="coo/x",
    )
    after = on_result(desk, mail, result)
    assert (after.stage, after.rank, after.owed) == (stage, rank, True)
    assert after.files == (WORK if stage == "finishing" else {})
