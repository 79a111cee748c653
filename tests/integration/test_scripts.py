"""The packaged scripts: each is played here the way the company plays it, and every program really runs."""

import asyncio
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import msgspec
import pytest
import yaml

from actors.messages import Call, Terms
from actors.performers.model.answers import (
    Files,
    InvalidAnswer,
    Plan,
    Verdict,
    read_files,
    read_plan,
    read_verdict,
)
from actors.performers.model.performer import Request
from actors.performers.model.providers.scripted import SCRIPTS, Answer, Script, ScriptedClient
from prompts.manager import Prompt
from sandbox.paths import check_tree

CLIENT = ScriptedClient()
NONCE = "4d1f09c2b3a59687"
TERMS = Terms(models={})
ROLE_OF = {"plan": "coo", "code": "engineer", "checks": "qa", "judge": "qa"}

Place = tuple[str, int, int, int]

STORIES = {
    "fizzbuzz": [
        "task 1: passes; QA: control fails, acceptance passes, checks pass, approved",
        "completed",
    ],
    "csv2json": [
        "task 1: fails; passes; QA: control fails, acceptance passes, checks pass, approved",
        "task 2: passes; QA: control fails, acceptance passes, checks pass, approved",
        "completed",
    ],
    "wordcount": [
        "task 1: passes; QA: control fails, acceptance passes, checks fail",
        "task 1, rework 1: passes; QA: control fails, acceptance passes, checks pass, approved",
        "completed",
    ],
    "todo": [
        "task 1: fails; passes; QA: control fails, acceptance passes, checks pass, approved",
        "task 2: passes; QA: control fails, acceptance passes, checks pass, rejected",
        "task 2, rework 1: passes; QA: control fails, acceptance passes, checks pass, approved",
        "task 3: passes; QA: control fails, acceptance passes, checks pass, approved",
        "completed",
    ],
    "slugify": [
        "task 1: unreadable; passes; QA: control fails, acceptance passes, checks pass, approved",
        "task 2: passes; QA: control fails, acceptance passes, checks pass, approved",
        "completed",
    ],
    "hopeless": [
        "task 1: fails; fails; fails; fails",
        "failed",
    ],
}


@cache
def load(name: str) -> Script:
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    return msgspec.convert(yaml.load((SCRIPTS / f"{name}.yaml").read_text("utf-8"), loader), Script)


def place_of(answer: Answer) -> Place:
    return answer.turn, answer.task, answer.rework, answer.round


async def ask(goal: str, place: Place) -> Plan | Files | Verdict:
    """Return what ScriptedClient answers, read the way the company reads it."""
    turn, task, rework, round_ = place
    call = Call(
        turn=turn,
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
    match turn:
        case "plan":
            return read_plan(answer.text)
        case "judge":
            return read_verdict(answer.text)
    files = read_files(answer.text, NONCE)
    check_tree(frozenset(files.files))
    return files


def passes(argv: list[str], files: dict[str, bytes]) -> bool:
    """Run a command on a fresh copy of the files, and nothing but them."""
    assert argv[0] == "python3", "the only program every image has"
    with tempfile.TemporaryDirectory() as folder:
        for path, content in files.items():
            target = Path(folder, path)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
        env = {"PATH": os.defpath, "HOME": folder, "LANG": "C.UTF-8", "PYTHONDONTWRITEBYTECODE": "1"}
        command = [sys.executable, *argv[1:]]
        done = subprocess.run(command, cwd=folder, env=env, capture_output=True, timeout=TERMS.run_timeout_s)
        print(argv, "on", sorted(files), "->", done.returncode, (done.stdout + done.stderr).decode()[-2000:])
        return done.returncode == 0


def _word(passed: bool) -> str:
    return "passes" if passed else "fails"


@dataclass
class Walk:
    """One mission: what happened, which answers it used, the files it ends with."""

    goal: str
    story: list[str] = field(default_factory=list)
    used: set[Place] = field(default_factory=set)
    files: dict[str, bytes] = field(default_factory=dict)
    promised: set[str] = field(default_factory=set)

    async def play(self) -> None:
        plan = await self._ask("plan", 1)
        assert isinstance(plan, Plan)
        assert len(plan.tasks) <= TERMS.max_tasks
        for number, task in enumerate(plan.tasks, start=1):
            self.promised |= set(task.outputs)
            rework, done = 0, False
            while not done:
                where = f"task {number}, rework {rework}: " if rework else f"task {number}: "
                rounds = await self._engineer(task.acceptance, number, rework)
                self.story.append(where + rounds)
                if not rounds.endswith("passes"):
                    self.story.append("failed")
                    return
                assert set(task.outputs) <= set(self.files)
                verdict = await self._qa(task.acceptance, number, rework)
                self.story[-1] += f"; QA: {verdict}"
                rework, done = rework + 1, verdict.endswith("approved")
        self.story.append("completed")

    async def _engineer(self, acceptance: list[str], task: int, rework: int) -> str:
        rounds = []
        for round_ in range(TERMS.max_rounds + 1):
            try:
                written = await self._ask("code", task, rework, round_)
            except InvalidAnswer:
                rounds.append("unreadable")
                continue
            assert isinstance(written, Files)
            self.files |= written.files
            rounds.append(_word(passes(acceptance, self.files)))
            if rounds[-1] == "passes":
                break
        return "; ".join(rounds)

    async def _qa(self, acceptance: list[str], task: int, rework: int) -> str:
        control, proof = await asyncio.gather(
            asyncio.to_thread(passes, acceptance, {}), asyncio.to_thread(passes, acceptance, self.files)
        )
        events = [f"control {_word(control)}", f"acceptance {_word(proof)}"]
        if events != ["control fails", "acceptance passes"]:
            return ", ".join(events)
        checks = await self._ask("checks", task, rework)
        assert isinstance(checks, Files)
        assert all(path.startswith("qa_checks/") for path in checks.files)
        if not passes(checks.run, self.files | checks.files):
            return ", ".join([*events, "checks fail"])
        verdict = await self._ask("judge", task, rework)
        assert isinstance(verdict, Verdict)
        assert (verdict.verdict == "rejected") == bool(verdict.findings)
        return ", ".join([*events, "checks pass", verdict.verdict])

    async def _ask(self, turn: str, task: int, rework: int = 0, round_: int = 0) -> Plan | Files | Verdict:
        self.used.add((turn, task, rework, round_))
        return await ask(self.goal, (turn, task, rework, round_))


@pytest.mark.parametrize("name", STORIES)
async def test_a_script_plays_the_story_it_tells(name: str) -> None:
    script = load(name)
    walk = Walk(script.goals[0])

    await walk.play()

    assert walk.story == STORIES[name]
    assert walk.promised <= set(walk.files)
    assert walk.used == {place_of(answer) for answer in script.answers}


@pytest.mark.parametrize("name", STORIES)
async def test_every_answer_can_be_read_except_those_that_must_not_be(name: str) -> None:
    script = load(name)
    for answer in script.answers:
        if answer.raw is None:
            await ask(script.goals[-1], place_of(answer))
        else:
            with pytest.raises(InvalidAnswer):
                await ask(script.goals[-1], place_of(answer))


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
