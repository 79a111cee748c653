"""What QA asks its own model: an exam from the brief alone, and a verdict on what the exam showed. Pure."""

from __future__ import annotations

import msgspec

from actors import messages as m
from actors.roles.evidence import shortened, shown
from actors.roles.qa.bench import Bench, Phase
from actors.roles.qa.paper import answers_on
from bus.envelope import Letter
from bus.fold import Step

_PATHS_BYTES = 16 * 1024
"""What the names of a workspace's files may take of a prompt."""

_PROBLEM_BYTES = 8 * 1024
_EVIDENCE_BYTES = 64 * 1024


def ask_exam(bench: Bench, task: m.Task, problem: str = "", tries: int = 0) -> Step:
    """Ask for an exam; `problem` is what was wrong with the last one."""
    asked, letters = _ask(bench, task, _exam_call(bench, task, problem), "writing", tries)
    return Step(asked, letters)


def ask_judge(bench: Bench, task: m.Task, problem: str = "", tries: int = 0) -> Step:
    """Ask for a verdict; `problem` is what was wrong with the last one."""
    asked, letters = _ask(bench, task, _judge_call(bench, task, problem), "judging", tries)
    return Step(asked, letters)


def put_aside(bench: Bench, task: m.Task) -> Bench:
    """Have the judge's call ready for when the mission goes on."""
    held = msgspec.structs.replace(bench, orders=bench.orders.hold())
    asked, _ = _ask(held, task, _judge_call(held, task, ""), "judging", 0)
    return asked


def _ask(bench: Bench, task: m.Task, call: m.Call, phase: Phase, tries: int) -> tuple[Bench, list[Letter]]:
    number = bench.asked.get(call.turn, 0)
    orders, letters = bench.orders.done(call.turn).send(msgspec.structs.replace(call, round=number))
    asked = {**bench.asked, call.turn: number + 1}
    changed = msgspec.structs.replace(bench, phase=phase, tries=tries, asked=asked, orders=orders)
    return changed, letters


def _exam_call(bench: Bench, task: m.Task, problem: str) -> m.Call:
    return _call(
        task,
        "exam",
        paths=shortened("\n".join(sorted(task.files)), _PATHS_BYTES),
        known="\n".join(bench.told) or "none",
        problem=shortened(problem, _PROBLEM_BYTES) or "none",
    )


def _judge_call(bench: Bench, task: m.Task, problem: str) -> m.Call:
    assert bench.acceptance is not None
    evidence = shortened(f"{shown(bench.acceptance)}\n\n{marked(bench, task)}", _EVIDENCE_BYTES)
    call = _call(task, "judge", evidence=evidence, problem=shortened(problem, _PROBLEM_BYTES) or "none")
    return msgspec.structs.replace(call, files=task.files)


def _call(task: m.Task, turn: str, **variables: str) -> m.Call:
    acceptance = msgspec.json.encode(task.plan.acceptance).decode()
    return m.Call(
        turn=turn,  # type: ignore[arg-type]  # a word of Call, as both callers write it
        model=task.terms.models["qa"],
        max_output_tokens=task.terms.max_output_tokens,
        number=task.number,
        rework=task.rework,
        goal=task.goal,
        variables={"brief": task.plan.brief, "acceptance": acceptance, **variables},
    )


def marked(bench: Bench, task: m.Task) -> str:
    """Write the exam's marks as lines; of a case that failed, also how it runs and what it showed."""
    if bench.paper is None or "marks" not in bench.marks:
        return "exam: none"
    marks, answers = bench.marks["marks"], answers_on(bench.sitting, task.files, bench.answers)
    lines = [f"exam: {len(marks.passes)} of {len(bench.sitting)} cases passed"]
    for case in bench.sitting:
        if case.name in marks.passes:
            lines.append(f"PASS {case.name}")
            continue
        lines.append(f"FAIL {case.name}: {marks.fails.get(case.name, '')}")
        lines.append(f"  it ran {' '.join(case.argv)}: {answers[case.name].status}")
        lines += [f"  | {line}" for line in answers[case.name].said.splitlines()]
    return "\n".join(lines)
