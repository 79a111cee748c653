"""The scripted model: packaged answers for a handful of demo missions, at invented prices.

It stands behind the same performer and the same money path as a real model. An answer is chosen by role,
turn, task, rework and round, never by how often it was asked for, so a crash changes nothing. A goal it has
no script for is refused.
"""

from __future__ import annotations

import difflib
import json
import re
from functools import cache
from pathlib import Path
from typing import Any

import msgspec

from actors.messages import Call
from actors.performers.model.port import ModelError, Request
from actors.performers.model.pricing import Completion

SCRIPTS = Path(__file__).parent / "scripts"

_BYTES_PER_TOKEN = 4


class Answer(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One answer of a script. `task` counts from 1, `rework` and `round` from 0."""

    turn: str
    task: int = 1
    rework: int = 0
    round: int = 0
    summary: str = ""
    tasks: list[dict[str, Any]] = []
    files: dict[str, str] = {}
    blocked: str = ""
    cases: list[dict[str, Any]] = []
    marker: list[str] = []
    verdict: str = ""
    at_fault: str = ""
    wrong: list[str] = []
    findings: list[dict[str, Any]] = []
    reason: str = ""
    raw: str | None = None


class Script(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The answers for one mission, whose goal is any of `goals`."""

    name: str
    about: str
    goals: list[str]
    answers: list[Answer]


class ScriptedClient:
    """A provider that answers from scripts in a folder of YAML files."""

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder or SCRIPTS

    @property
    def _scripts(self) -> dict[str, Script]:
        return _read(self._folder)

    def goals(self) -> list[str]:
        """Return the first goal of each script."""
        return list(dict.fromkeys(script.goals[0] for script in self._scripts.values()))

    def check(self, role: str, call: Call) -> None:
        self._find(call)

    async def complete(self, request: Request) -> Completion:
        answer = self._find(request.call)
        text = answer.raw if answer.raw is not None else _written(answer, request.nonce)
        prompt = request.prompt
        asked = len(prompt.system.encode()) + len(prompt.user.encode())
        output = min(_tokens(len(text.encode())), request.max_output_tokens)
        return Completion(text=text, input_tokens=_tokens(asked), output_tokens=output)

    def _find(self, call: Call) -> Answer:
        script = self._scripts.get(_plain(call.goal))
        if script is None:
            known = "; ".join(self.goals())
            near = difflib.get_close_matches(_plain(call.goal), self._scripts, 1, 0.0)
            closest = f" The closest is: {self._scripts[near[0]].goals[0]}." if near else ""
            raise ModelError("no_script", f"the scripted model only knows these goals: {known}.{closest}")
        place = (call.turn, call.number + 1, call.rework, call.round)
        for answer in script.answers:
            if (answer.turn, answer.task, answer.rework, answer.round) == place:
                return answer
        turn, task, rework, round_ = place
        raise ModelError(
            "no_script", f"{script.name} has no {turn} for task {task}, rework {rework}, round {round_}"
        )


@cache
def _read(folder: Path) -> dict[str, Script]:
    """Read every script of a folder, once a process, by each of its goals."""
    import yaml

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    scripts = {}
    for path in sorted(folder.glob("*.yaml")):
        script = msgspec.convert(yaml.load(path.read_text("utf-8"), loader), Script)
        scripts.update({_plain(goal): script for goal in script.goals})
    return scripts


def _plain(goal: str) -> str:
    return " ".join(re.findall(r"\w+", goal.casefold()))


def _tokens(size_bytes: int) -> int:
    return -(-size_bytes // _BYTES_PER_TOKEN)


def _written(answer: Answer, nonce: str) -> str:
    """Write an answer the way the prompt asks a model to."""
    match answer.turn:
        case "plan":
            return json.dumps({"summary": answer.summary, "tasks": answer.tasks})
        case "judge":
            verdict = {
                "verdict": answer.verdict,
                "at_fault": answer.at_fault,
                "cases": answer.wrong,
                "findings": answer.findings,
                "reason": answer.reason,
            }
            return json.dumps(verdict)
        case _:
            header: dict[str, Any] = {"summary": answer.summary, "files": list(answer.files)}
            own = {"cases": answer.cases, "marker": answer.marker}
            header |= own if answer.turn == "exam" else {"blocked": answer.blocked}
            blocks = [
                f"<<<FILE {path} {nonce}\n{content.rstrip()}\nFILE>>> {nonce}"
                for path, content in answer.files.items()
            ]
            return "\n".join([json.dumps(header), *blocks])
