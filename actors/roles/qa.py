"""QA: judges on evidence of its own, never on the Engineer's word.

    idle ── a task ──> proving
    proving ── both exit codes are right ──> checking
    proving ── one is wrong: rejected, or failed ──> idle
    checking ── a program of its own, and it passes ──> judging
    checking ── it does not pass: rejected; none: failed ──> idle
    judging ── a verdict: approved or rejected; none: failed ──> idle
    checking ── another task ──> proving
    judging ── another task ──> proving

In any phase the mission's end, told or named by a drop, leaves nothing to do, and nothing is sent any more.

Proving runs the acceptance command twice in fresh sandboxes: on the work, where it must pass, and as a
control on an empty workspace, where it must not, since a command that passes on nothing proves nothing.
Checking runs a program that QA's own model wrote from the task alone. Exit codes decide first, the model's
opinion second; missing evidence is never a pass. Sends `execute` to the sandbox, `call` to its model,
`result` to the COO.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from actors import messages as m
from actors.roles import worker
from actors.roles.evidence import evidence_of, passed, shortened, shown
from actors.roles.worker import MAX_MESSAGES, Orders
from bus.envelope import Mail
from bus.fold import Role, Step

MAX_TRIES = 2
"""How often the model may answer a turn unreadably before the task fails."""

_PATHS_BYTES = 16 * 1024
"""What the names of a workspace's files may take of a prompt."""

_RUNS = ("acceptance", "control", "checks")


class Bench(msgspec.Struct, frozen=True, kw_only=True):
    """QA's state: the work at hand and what its own runs showed so far, by the run's name."""

    task: m.Task | None = None
    phase: Literal["idle", "proving", "checking", "judging"] = "idle"
    tries: int = 0
    evidence: dict[str, m.Evidence] = {}
    orders: Orders = Orders(model="model-qa")


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
        case m.Outcome(run=label) | m.Reply(turn=label) as answer if _is_current(bench, answer, label):
            return _on_answer(bench, mail, answer)
        case m.Outcome() | m.Reply():
            return Step(bench)
        case other:
            raise ValueError(f"QA has no rule for {type(other).__name__}")


def _is_current(bench: Bench, answer: m.Outcome | m.Reply, label: str) -> bool:
    task = bench.task
    if task is None or (answer.number, answer.rework) != (task.number, task.rework):
        return False
    if isinstance(answer, m.Outcome):
        return label in bench.orders.runs
    return label in bench.orders.calls and answer.round == bench.tries


def _on_answer(bench: Bench, mail: Mail, answer: m.Outcome | m.Reply) -> Step:
    task = bench.task
    assert task is not None
    label = answer.run if isinstance(answer, m.Outcome) else answer.turn
    match answer:
        case m.Outcome(status="dropped") | m.Reply(status="dropped"):
            return worker.dropped(bench, label, mail)
        case m.Outcome(status="not_started" | "engine_error"):
            parked = msgspec.structs.replace(bench, orders=bench.orders.park(label, mail))
            return _report(parked, task, "stuck", reason=answer.reason, fix=answer.fix)
        case m.Reply(status="refused"):
            parked = msgspec.structs.replace(bench, orders=bench.orders.park(label, mail))
            return _report(parked, task, "refused", refusal=answer.refusal)
        case m.Outcome():
            return _on_run(bench, task, answer)
        case m.Reply(status="failed"):
            return _on_failure(bench, task, answer)
        case m.Reply(turn="checks"):
            return _run_checks(bench, task, answer)
        case m.Reply():
            return _judge(bench, task, answer)


# -- proving ------------------------------------------------------------------------------------------


def _start(bench: Bench, task: m.Task) -> Step:
    orders = bench.orders.none()
    missing = [path for path in task.plan.outputs if path not in task.files]
    if missing:
        findings = tuple(
            m.Finding(problem="the file is not there", file=path, expected="the plan names it as an output")
            for path in missing
        )
        return _report(Bench(task=task, orders=orders), task, "rejected", findings=findings)
    orders, letters = orders.send(
        _run(task, "acceptance", task.plan.acceptance, task.files),
        _run(task, "control", task.plan.acceptance, {}),
    )
    return Step(Bench(task=task, phase="proving", orders=orders), letters)


def _run(task: m.Task, name: str, argv: tuple[str, ...], files: m.Manifest) -> m.Execute:
    return m.Execute(
        run=name,
        number=task.number,
        rework=task.rework,
        argv=argv,
        files=files,
        timeout_s=task.terms.run_timeout_s,
    )


def _on_run(bench: Bench, task: m.Task, outcome: m.Outcome) -> Step:
    argv = bench.orders.runs[outcome.run].argv
    evidence = {**bench.evidence, outcome.run: evidence_of(outcome, argv)}
    bench = msgspec.structs.replace(bench, evidence=evidence, orders=bench.orders.done(outcome.run))
    if bench.phase == "proving" and len(evidence) < 2:
        return Step(bench)
    if bench.phase == "proving" and passed(evidence["control"]):
        reason = (
            f"the acceptance command {' '.join(argv)!r} of task {task.number + 1} passes on an empty "
            "workspace: it proves nothing"
        )
        return _report(bench, task, "failed", reason=reason)
    tried = "acceptance" if bench.phase == "proving" else "checks"
    if not passed(evidence[tried]):
        problem = f"QA's own run of the {tried} command did not pass\n{shown(evidence[tried])}"
        finding = m.Finding(problem=problem, expected="exit code 0")
        return _report(bench, task, "rejected", findings=(finding,))
    return _ask(bench, task, "checks" if bench.phase == "proving" else "judge")


# -- asking QA's own model ------------------------------------------------------------------------------


def _ask(bench: Bench, task: m.Task, turn: Literal["checks", "judge"], tries: int = 0) -> Step:
    variables = {
        "brief": task.plan.brief,
        "acceptance": msgspec.json.encode(task.plan.acceptance).decode(),
    }
    if turn == "checks":
        variables["paths"] = shortened("\n".join(sorted(task.files)), _PATHS_BYTES)
    else:
        variables["evidence"] = "\n\n".join(shown(bench.evidence[run]) for run in _RUNS)
    call = m.Call(
        turn=turn,
        model=task.terms.models["qa"],
        max_output_tokens=task.terms.max_output_tokens,
        number=task.number,
        rework=task.rework,
        round=tries,
        goal=task.goal,
        variables=variables,
        files=task.files if turn == "judge" else {},
    )
    orders, letters = bench.orders.done(turn).send(call)
    phase: Literal["checking", "judging"] = "checking" if turn == "checks" else "judging"
    return Step(msgspec.structs.replace(bench, phase=phase, tries=tries, orders=orders), letters)


def _on_failure(bench: Bench, task: m.Task, reply: m.Reply) -> Step:
    if reply.error == "invalid_answer" and bench.tries + 1 < MAX_TRIES:
        return _ask(bench, task, "checks" if reply.turn == "checks" else "judge", bench.tries + 1)
    reason = f"QA has no evidence to judge on: {reply.error}: {reply.detail}"
    return _report(bench, task, "failed", reason=reason)


def _run_checks(bench: Bench, task: m.Task, reply: m.Reply) -> Step:
    names = {path.casefold() for path in reply.files}
    kept = {path: ref for path, ref in task.files.items() if path.casefold() not in names}
    orders, letters = bench.orders.done("checks").send(
        _run(task, "checks", reply.argv, {**kept, **reply.files})
    )
    return Step(msgspec.structs.replace(bench, orders=orders), letters)


def _judge(bench: Bench, task: m.Task, reply: m.Reply) -> Step:
    verdict = reply.verdict
    if verdict is not None and verdict.verdict == "approved":
        return _report(bench, task, "approved")
    findings = verdict.findings if verdict else ()
    reason = verdict.reason if verdict else "the model gave no verdict"
    return _report(bench, task, "rejected", findings=findings or (m.Finding(problem=reason),))


def _report(bench: Bench, task: m.Task, status: str, **said: Any) -> Step:
    evidence = tuple(bench.evidence[run] for run in _RUNS if run in bench.evidence)
    over = status in ("approved", "rejected", "failed")
    after = Bench(orders=bench.orders.none()) if over else bench
    return worker.report(after, task, status, evidence=evidence, **said)


ROLE: Role[Bench] = Role(
    name="qa", version=2, state=Bench, handle=handle, is_over=lambda bench: bench.orders.over
)
