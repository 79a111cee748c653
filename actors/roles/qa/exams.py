"""An exam, from its paper to its marks: the cases on the work, the controls, and what they come to. Pure.

Three controls say whether an exam proves anything. On the workspace before the task a case must fail, and on
empty answers every case. With what another case wrote in the place of its own, under its own exit code, not
every case may pass: a marker that takes any answer takes those, too. One that cannot read them does not.
"""

from __future__ import annotations

import msgspec

from actors import messages as m
from actors.roles.evidence import digest_of
from actors.roles.qa import marks, paper, questions, verdicts
from actors.roles.qa.bench import MOST_KEPT, Answer, Bench
from actors.roles.qa.verdicts import report
from bus.envelope import Letter
from bus.fold import Step

MAX_FAULTS = 2
"""How often an exam of a task that proves nothing is written anew."""

AT_ONCE = 4
"""Runs of one mission that are out at once: as many as a sandbox runs, so that others have their turn."""

_MOST_TOLD = 60
_NO_EXAM = m.Exam(cases=(), marker=())

WORK, BEFORE, EMPTY, SWAPPED = "marks", "marks-before", "marks-empty", "marks-swapped"


def on_exam(bench: Bench, task: m.Task, reply: m.Reply) -> Step:
    """Take the exam that was written, and begin with it."""
    exam = reply.exam or _NO_EXAM
    problem = paper.collision(exam, {**task.before, **task.files}) if exam.cases else "there is no case in it"
    bench = msgspec.structs.replace(bench, orders=bench.orders.done("exam"))
    if problem:
        if bench.tries + 1 < verdicts.MAX_TRIES:
            return questions.ask_exam(bench, task, problem, bench.tries + 1)
        return report(bench, task, "failed", reason=f"QA has no evidence to judge on: {problem}")
    told = (*bench.told, *(f"{case.name}: {' '.join(case.argv)}" for case in exam.cases))
    fresh = msgspec.structs.replace(bench.without_paper(), paper=exam, is_fresh=True, told=told[-_MOST_TOLD:])
    return examine(fresh, task)


def examine(bench: Bench, task: m.Task) -> Step:
    """Run the cases of the exam that have not been run on this work, and one on the workspace before it."""
    bench = msgspec.structs.replace(bench, phase="examining", tries=0, marks={}, thorough=False)
    return _go_on(bench, task)


def _go_on(bench: Bench, task: m.Task) -> Step:
    """Send the next runs that are wanted, a few at once; when none is wanted or out any more, mark."""
    wanted = _wanted(bench, task)
    if not wanted and not bench.orders.runs:
        return _mark(bench, task)
    return send(bench, wanted[: max(0, AT_ONCE - len(bench.orders.runs))])


def _wanted(bench: Bench, task: m.Task) -> list[m.Execute]:
    """Return the runs that are still to be sent."""
    runs = _runs(bench, task, "case", task.files, bench.sitting)
    if not bench.proven:
        tried = bench.sitting if bench.thorough else bench.sitting[:1]
        runs += _runs(bench, task, "before", task.before, tried)
    return [run for run in runs if run.run not in bench.orders.runs]


def _runs(
    bench: Bench, task: m.Task, label: str, tree: m.Manifest, cases: tuple[m.Case, ...]
) -> list[m.Execute]:
    known = paper.answers_on(cases, tree, bench.answers)
    return [
        paper.run_of(case, task, tree, f"{label}-{case.name}", bench.asked.get("exam", 0))
        for case in cases
        if case.name not in known
    ]


def send(bench: Bench, runs: list[m.Execute]) -> Step:
    """Send runs, and remember that they are out."""
    letters: list[Letter]
    orders, letters = bench.orders.send(*runs)
    return Step(msgspec.structs.replace(bench, orders=orders), letters)


def on_run(bench: Bench, task: m.Task, outcome: m.Outcome) -> Step:
    """Keep what a case showed or a marker said; when nothing is out any more, go on."""
    bench = msgspec.structs.replace(bench, orders=bench.orders.done(outcome.run))
    if outcome.run in (WORK, BEFORE, EMPTY, SWAPPED):
        found = {**bench.marks, outcome.run: marks.read(outcome, list(_shown(bench, task, outcome.run)))}
        bench = msgspec.structs.replace(bench, marks=found)
        return Step(bench) if bench.orders.runs else _weigh(bench, task)
    return _go_on(_keep(bench, task, outcome), task)


def _keep(bench: Bench, task: m.Task, outcome: m.Outcome) -> Bench:
    label, _, name = outcome.run.partition("-")
    case = next(case for case in bench.sitting if case.name == name)
    tree = task.files if label == "case" else task.before
    kept = {**bench.answers, paper.key_of(digest_of(tree), case): paper.answer_of(outcome)}
    return msgspec.structs.replace(bench, answers=dict(list(kept.items())[-MOST_KEPT:]))


def _shown(bench: Bench, task: m.Task, label: str) -> dict[str, Answer]:
    """Return what a marker is shown: what the cases showed on the work, or a control."""
    if label == BEFORE:
        return paper.answers_on(bench.sitting, task.before, bench.answers)
    if label == EMPTY:
        return {case.name: paper.EMPTY for case in bench.sitting}
    work = paper.answers_on(bench.sitting, task.files, bench.answers)
    return _swapped(work) if label == SWAPPED else work


def _swapped(answers: dict[str, Answer]) -> dict[str, Answer]:
    """Return every case's own exit code with what the next case wrote; nothing, if all wrote the same."""
    codes = {name: answer.tree["exit_code"] for name, answer in answers.items()}
    wrote = [{**answer.tree, "exit_code": paper.NOTHING} for answer in answers.values()]
    if all(one == wrote[0] for one in wrote):
        return {}
    others = zip(answers, wrote[1:] + wrote[:1], strict=True)
    return {name: Answer(status="ok", tree={**other, "exit_code": codes[name]}) for name, other in others}


def _mark(bench: Bench, task: m.Task) -> Step:
    """Have the marker read what the cases showed, and the controls that it has not been tried on."""
    exam = bench.paper
    assert exam is not None
    wanted = [WORK]
    if {case.name for case in bench.sitting} - set(bench.proven):
        wanted.append(EMPTY)
    if not bench.proven:
        wanted += [BEFORE, SWAPPED] if _shown(bench, task, SWAPPED) else [BEFORE]
    number = bench.asked.get("exam", 0)
    runs = [
        paper.marking(exam, task, _shown(bench, task, label), label, number)
        for label in wanted
        if label not in bench.marks
    ]
    return send(msgspec.structs.replace(bench, phase="marking"), runs)


def _weigh(bench: Bench, task: m.Task) -> Step:
    """Say what the marks come to: nothing, when the exam proves nothing."""
    if _passes_before(bench, task) and not bench.thorough:
        found = {label: said for label, said in bench.marks.items() if label != BEFORE}
        thorough = msgspec.structs.replace(bench, phase="examining", marks=found, thorough=True)
        return _go_on(thorough, task)
    if fault := _fault(bench):
        return _anew(bench, task, fault)
    work = _shown(bench, task, WORK)
    ended = [name for name, answer in work.items() if answer.ended]
    marked = {**bench.marks, WORK: marks.of_ended(bench.marks[WORK], ended)}
    bench = msgspec.structs.replace(bench, proven=tuple(work), marks=marked)
    if marked[WORK].fails or bench.has_untold:
        return questions.ask_judge(bench, task)
    return questions.ask_exam(bench, task)  # it passes what its author was told of: now what they were not


def _passes_before(bench: Bench, task: m.Task) -> bool:
    """Say whether all that was tried on the workspace before the task passes there."""
    if BEFORE not in bench.marks or bench.marks[WORK].fault or bench.marks[BEFORE].fault:
        return False
    return set(_shown(bench, task, BEFORE)) == set(bench.marks[BEFORE].passes)


_CONTROLS = {
    WORK: "On the work",
    BEFORE: "On the workspace before the task",
    EMPTY: "On empty answers",
    SWAPPED: "With what another case wrote in the place of its own",
}


def _fault(bench: Bench) -> str:
    """Say why the exam proves nothing, as its marks show; "" if it does."""
    names = {case.name for case in bench.sitting}
    for label, where in _CONTROLS.items():
        if label != SWAPPED and label in bench.marks and (fault := bench.marks[label].fault):
            return f"{where}: {fault}"
    if EMPTY in bench.marks and (passes := bench.marks[EMPTY].passes):
        return f"On empty answers these pass: {', '.join(passes[:5])}"
    for label in (BEFORE, SWAPPED):
        if label in bench.marks and names <= set(bench.marks[label].passes):
            return f"{_CONTROLS[label]}: every case passes"
    return ""


def _anew(bench: Bench, task: m.Task, fault: str) -> Step:
    """Have another exam written, at most twice; then there is no evidence but the work's own word."""
    if bench.faults < MAX_FAULTS:
        bench = msgspec.structs.replace(bench.without_paper(), faults=bench.faults + 1)
        return questions.ask_exam(bench, task, fault)
    bench = bench.without_paper()
    if task.terms.evidence == "claimed":
        return questions.ask_judge(bench, task)
    return report(bench, task, "failed", reason=f"QA's exams prove nothing. {fault}")
