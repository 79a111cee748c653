"""QA: judges on evidence that the work cannot forge, never on the Engineer's word.

    idle ── a task ──> proving
    proving ── the acceptance command passed, no exam yet ──> writing
    proving ── it passed, and the task has an exam ──> examining
    proving ── it did not pass: rejected; it cannot run: blocked ──> idle
    writing ── an exam ──> examining
    writing ── an exam whose cases have all been run on this work ──> marking
    writing ── none that can be read: failed ──> idle
    examining ── every case has an answer ──> marking
    marking ── the exam proves nothing, at most twice ──> writing
    marking ── an exam of before passes ──> writing
    marking ── it proves nothing for the third time: failed ──> idle
    marking ── marks ──> judging
    judging ── the case is wrong, once ──> writing
    judging ── a verdict: approved, rejected or blocked ──> idle

In any phase another task begins anew, and the mission's end, told or named by a drop, leaves nothing to do.

An exam is cases and a marker, written by QA's own model from the brief and the names of files. Each case runs
the work in a sandbox of its own; the marker runs in another one, on what the cases showed and on nothing of
the Engineer's. The acceptance command is the work's claim and must pass, too. The model that sees the sources
can reject, it cannot approve what a case fails. Missing evidence is never a pass. Sends `execute` to the
sandbox, `call` to its model, `result` to the COO.
"""

from __future__ import annotations

import msgspec

from actors import messages as m
from actors.roles import worker
from actors.roles.evidence import cannot_run, changed, evidence_of, is_reserved, missing, passed, shown
from actors.roles.qa import exams, questions, verdicts
from actors.roles.qa.bench import Bench
from actors.roles.qa.verdicts import MAX_TRIES, report
from actors.roles.worker import MAX_MESSAGES
from bus.envelope import Mail
from bus.fold import Role, Step

ACCEPTANCE = "acceptance"

_OF_OLD = ("checks", "judge")
"""What versions before 3 asked for after the acceptance command, where this one asks for an exam."""


def handle(bench: Bench, mail: Mail) -> Step:
    """Decide one mail."""
    return worker.handle(bench, mail, _decide, _exhausted)


def _exhausted(bench: Bench, mail: Mail) -> Step:
    if isinstance(mail.message, m.Task):
        started = _start(bench, mail.message)
        if started.letters:
            return started  # the work lacks a file: that is judged without sending any order
        bench = started.state
    elif bench.orders.messages > MAX_MESSAGES:
        return Step(bench)
    return worker.without_end(bench, "QA")


def _decide(bench: Bench, mail: Mail) -> Step:
    match mail.message:
        case m.Task() as task:
            return _start(bench, task)
        case m.Outcome() | m.Reply() as answer if _is_current(bench, answer):
            return _on_answer(bench, mail, answer)
        case m.Outcome() | m.Reply() as answer:
            return _on_other(bench, answer)
        case other:
            raise ValueError(f"QA has no rule for {type(other).__name__}")


def _is_current(bench: Bench, answer: m.Outcome | m.Reply) -> bool:
    task = bench.task
    if task is None or (answer.number, answer.rework) != (task.number, task.rework):
        return False
    if isinstance(answer, m.Outcome):
        return answer.run in bench.orders.runs and answer.round == bench.orders.runs[answer.run].round
    return answer.turn in bench.orders.calls and answer.round == bench.orders.calls[answer.turn].round


def _on_other(bench: Bench, answer: m.Outcome | m.Reply) -> Step:
    """Ignore what was not asked, but for what a version before 3 asked: its exam has never been asked for."""
    task, label = bench.task, answer.run if isinstance(answer, m.Outcome) else answer.turn
    if task is None or (answer.number, answer.rework) != (task.number, task.rework):
        return Step(bench)
    if bench.phase == "writing" and label in _OF_OLD:
        return questions.ask_exam(msgspec.structs.replace(bench, asked={}), task)
    return Step(bench)


def _start(bench: Bench, task: m.Task) -> Step:
    is_known = bench.task is not None and bench.task.number == task.number and task.rework > 0
    kept = (
        msgspec.structs.replace(bench, phase="proving", asked={}, tries=0, evidence={}, marks={})
        if is_known
        else Bench(phase="proving", answers=bench.answers)
    )
    bench = msgspec.structs.replace(kept, task=task, is_fresh=False, faults=0, orders=bench.orders.none())
    reserved = [path for path in task.files if is_reserved(path)]
    problems = [
        *(("the file is in QA's folder", "no work writes there", path) for path in reserved),
        *(
            ("the file is not there", "the plan names it as an output", path)
            for path in missing(task, task.files)
        ),
        *(("the file was changed", "it stays as it was", path) for path in changed(task, task.files)),
    ]
    if problems:
        findings = tuple(
            m.Finding(problem=what, expected=wanted, file=path) for what, wanted, path in problems
        )
        return report(bench, task, "rejected", findings=findings)
    return exams.send(bench, [_run(task, ACCEPTANCE, task.plan.acceptance, task.files)])


def _run(task: m.Task, label: str, argv: tuple[str, ...], files: m.Manifest) -> m.Execute:
    return m.Execute(
        run=label,
        number=task.number,
        rework=task.rework,
        argv=argv,
        files=files,
        timeout_s=task.terms.run_timeout_s,
    )


def _on_answer(bench: Bench, mail: Mail, answer: m.Outcome | m.Reply) -> Step:
    task = bench.task
    assert task is not None
    label = answer.run if isinstance(answer, m.Outcome) else answer.turn
    match answer:
        case m.Outcome(status="dropped") | m.Reply(status="dropped"):
            return worker.dropped(bench, label, mail)
        case m.Outcome(status="not_started" | "engine_error"):
            parked = msgspec.structs.replace(bench, orders=bench.orders.park(label, mail))
            return report(parked, task, "stuck", reason=answer.reason, fix=answer.fix)
        case m.Reply(status="refused"):
            parked = msgspec.structs.replace(bench, orders=bench.orders.park(label, mail))
            return report(parked, task, "refused", refusal=answer.refusal)
        case m.Outcome(run="acceptance"):
            return _on_acceptance(bench, task, answer)
        case m.Outcome(run="tests" | "tests-before"):
            return _on_tests(bench, task, answer)
        case m.Outcome():
            return exams.on_run(bench, task, answer)
        case m.Reply(status="failed"):
            return _on_failure(bench, task, answer)
        case m.Reply(turn="exam"):
            return exams.on_exam(bench, task, answer)
        case m.Reply():
            return verdicts.on_verdict(bench, task, answer)


def _on_acceptance(bench: Bench, task: m.Task, outcome: m.Outcome) -> Step:
    evidence = evidence_of(outcome, task.plan.acceptance, "claimed")
    orders = bench.orders.done(outcome.run)
    bench = msgspec.structs.replace(bench, evidence={outcome.run: evidence}, orders=orders)
    if cannot_run(outcome):
        return report(bench, task, "blocked", reason=f"the acceptance command cannot run\n{shown(evidence)}")
    if not passed(evidence):
        problem = f"QA's own run of the acceptance command did not pass\n{shown(evidence)}"
        return report(bench, task, "rejected", findings=(m.Finding(problem=problem, expected="exit code 0"),))
    if task.plan.tests and task.before:
        before = _run(task, "tests-before", task.plan.tests, task.before)
        return exams.send(bench, [before, _run(task, "tests", task.plan.tests, task.files)])
    return _to_the_exam(bench, task)


def _on_tests(bench: Bench, task: m.Task, outcome: m.Outcome) -> Step:
    """Compare the tests that were there: what passed before the task must not fail after it."""
    evidence = {**bench.evidence, outcome.run: evidence_of(outcome, task.plan.tests, "claimed")}
    bench = msgspec.structs.replace(bench, evidence=evidence, orders=bench.orders.done(outcome.run))
    if bench.orders.runs:
        return Step(bench)
    if passed(evidence["tests-before"]) and not passed(evidence["tests"]):
        problem = f"tests that passed before the task fail after it\n{shown(evidence['tests'])}"
        return report(bench, task, "rejected", findings=(m.Finding(problem=problem, expected="exit code 0"),))
    return _to_the_exam(bench, task)


def _to_the_exam(bench: Bench, task: m.Task) -> Step:
    return exams.examine(bench, task) if bench.paper else questions.ask_exam(bench, task)


def _on_failure(bench: Bench, task: m.Task, reply: m.Reply) -> Step:
    if reply.error == "invalid_answer" and bench.tries + 1 < MAX_TRIES:
        ask = questions.ask_exam if reply.turn == "exam" else questions.ask_judge
        return ask(bench, task, reply.detail, bench.tries + 1)
    reason = f"QA has no evidence to judge on: {reply.error}: {reply.detail}"
    return report(bench, task, "failed", reason=reason)


ROLE: Role[Bench] = Role(
    name="qa", version=3, since=3, state=Bench, handle=handle, is_over=lambda bench: bench.orders.over
)
