"""The packaged scripts, each played by the whole company on a log in memory; every program really runs."""

from __future__ import annotations

import re
from functools import cache

import msgspec
import pytest
import yaml
from memory_company import MODELS, OVER, MemoryCompany, memory_company

from actors.messages import Call, Exam, Result, Terms
from actors.performers.model import replies
from actors.performers.model.performer import Request
from actors.performers.model.port import ModelError
from actors.performers.model.providers.scripted import SCRIPTS, Answer, Script, ScriptedClient
from bus.table import Ref
from prompts.manager import Prompt

CLIENT = ScriptedClient()
NONCE = "4d1f09c2b3a59687"
TERMS = Terms(models=MODELS)
ROLE_OF = {"plan": "coo", "code": "engineer", "exam": "qa", "judge": "qa"}

Place = tuple[str, int, int, int]

STORIES = {
    "fizzbuzz": ["task 1: done in 1; approved, 7 of 7", "completed"],
    "csv2json": [
        "task 1: done in 2; approved, 4 of 4",
        "task 2: done in 1; approved, 9 of 9",
        "completed",
    ],
    "wordcount": [
        "task 1: done in 1; rejected, 9 of 11",
        "task 1, rework 1: done in 1; approved, 16 of 16",
        "completed",
    ],
    "todo": [
        "task 1: done in 2; approved, 2 of 2",
        "task 2: done in 1; rejected, 4 of 4",
        "task 2, rework 1: done in 1; approved, 1 of 1",
        "task 3: done in 1; approved, 2 of 2",
        "completed",
    ],
    "slugify": [
        "task 1: done in 2; approved, 2 of 2",
        "task 2: done in 1; approved, 2 of 2",
        "completed",
    ],
    "hopeless": ["task 1: failed in 4", "failed"],
}


@cache
def load(name: str) -> Script:
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    return msgspec.convert(yaml.load((SCRIPTS / f"{name}.yaml").read_text("utf-8"), loader), Script)


def place_of(answer: Answer) -> Place:
    return answer.turn, answer.task, answer.rework, answer.round


def told(result: Result) -> str:
    """Say in a few words what Engineer or QA said of a task."""
    if result.rounds:
        return f"{result.status} in {result.rounds}"
    exam = next((evidence.output for evidence in result.evidence if evidence.run == "exam"), "")
    marks = re.match(r"exam: (\d+ of \d+) cases passed", exam)
    return f"{result.status}, {marks[1] if marks else 'no exam'}"


def story(company: MemoryCompany) -> list[str]:
    lines: dict[str, list[str]] = {}
    for result in company.messages("m-1", "coo", "result"):
        again = f", rework {result.rework}" if result.rework else ""
        lines.setdefault(f"task {result.number + 1}{again}", []).append(told(result))
    status = company.status()
    assert status is not None
    return [*(f"{where}: {'; '.join(said)}" for where, said in lines.items()), status.state]


def used(company: MemoryCompany) -> set[Place]:
    """Return the places of every answer that a model was asked for."""
    return {
        (call.turn, call.number + 1, call.rework, call.round)
        for role in ("coo", "engineer", "qa")
        for call in company.messages("m-1", f"model-{role}", "call")
    }


@pytest.mark.parametrize("name", STORIES)
async def test_a_script_plays_the_story_it_tells(name: str) -> None:
    script = load(name)
    async with memory_company() as company:
        await company.mission(script.goals[0])
        await company.until(*OVER, timeout_s=120)
        promised = {
            path
            for reply in company.messages("m-1", "coo", "reply")
            for task in reply.plan
            for path in task.outputs
        }
        files = set(await company.deliverable())
        assert story(company) == STORIES[name]
        assert used(company) == {place_of(answer) for answer in script.answers}
    assert promised <= files or STORIES[name][-1] == "failed"


async def store(files: dict[str, bytes]) -> dict[str, Ref]:
    return {path: Ref(owner="model-x", digest="0" * 64, size=len(files[path])) for path in files}


async def ask(goal: str, place: Place) -> dict[str, object]:
    """Return what ScriptedClient answers, read the way the company reads it."""
    turn, task, rework, round_ = place
    call = Call(
        turn=turn,  # type: ignore[arg-type]  # a script's own word, which the reading checks
        model="scripted",
        max_output_tokens=TERMS.max_output_tokens,
        number=task - 1,
        rework=rework,
        round=round_,
        goal=goal,
    )
    prompt = Prompt(name=turn, version=1, sha256="", system="", user="")
    CLIENT.check(ROLE_OF[turn], call)
    answer = await CLIENT.complete(Request(ROLE_OF[turn], call, prompt, NONCE, call.max_output_tokens))
    assert answer.output_tokens < call.max_output_tokens, "a real model would have been cut off"
    return await replies.read(turn, answer.text, NONCE, store)  # type: ignore[arg-type]  # the files are a dict


@pytest.mark.parametrize("name", STORIES)
async def test_every_answer_can_be_read_except_those_that_must_not_be(name: str) -> None:
    script = load(name)
    for answer in script.answers:
        if answer.raw is None:
            await ask(script.goals[-1], place_of(answer))
        else:
            with pytest.raises(ModelError, match="invalid_answer"):
                await ask(script.goals[-1], place_of(answer))


async def test_the_inputs_of_a_packaged_case_are_never_what_the_marker_expects() -> None:
    for name in STORIES:
        for answer in load(name).answers:
            if answer.turn != "exam":
                continue
            exam = (await ask(load(name).goals[0], place_of(answer)))["exam"]
            assert isinstance(exam, Exam)
            assert all(exam.marker[-1] not in case.inputs for case in exam.cases), name
            assert not any(case.spare for case in exam.cases[:1])


def test_every_packaged_script_has_a_story_a_name_and_goals_of_its_own() -> None:
    scripts = [load(path.stem) for path in sorted(SCRIPTS.glob("*.yaml"))]
    goals = [goal for script in scripts for goal in script.goals]

    assert {script.name for script in scripts} == {path.stem for path in SCRIPTS.iterdir()} == set(STORIES)
    assert sorted(CLIENT.goals()) == sorted(script.goals[0] for script in scripts)
    assert len({goal.casefold() for goal in goals}) == len(goals)
    assert all(2 <= len(script.goals) <= 4 and script.about for script in scripts)
    for script in scripts:
        places = [place_of(answer) for answer in script.answers]
        assert len(set(places)) == len(places), f"{script.name} answers one place twice"
