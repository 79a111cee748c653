"""The Engineer: writes code for a task until the acceptance command exits 0, at most `max_rounds` fixes.

    idle ── a task ──> coding
    coding ── files ──> running
    coding ── no files, after max_rounds: result failed ──> idle
    coding ── it says why the task cannot be done: result blocked ──> idle
    running ── exit code 0: result done ──> idle
    running ── the command cannot run: result blocked ──> idle
    running ── not 0 ──> coding
    running ── not 0, after max_rounds: result failed ──> idle

In any phase the mission's end, told or named by a drop, leaves nothing to do, and nothing is sent any more.
An output that the acceptance command makes is handed in with the files; protected files stay as they were.
No money: result refused; no sandbox, or too many messages: result stuck; all keep their place until `go_on`.
Sends `call` to its model, `execute` to the sandbox, `result` to the COO.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from actors import messages as m
from actors.roles import worker
from actors.roles.evidence import (
    RESERVED,
    cannot_run,
    changed,
    evidence_of,
    is_reserved,
    missing,
    shortened,
    shown,
)
from actors.roles.worker import MAX_MESSAGES, Orders
from bus.envelope import Mail
from bus.fold import Role, Step
from bus.table import Ref

CALL: Literal["code"] = "code"
RUN = "acceptance"

_FINDINGS_BYTES = 32 * 1024
"""What is said about the work so far may take this much of a prompt."""


class Bench(msgspec.Struct, frozen=True, kw_only=True):
    """The Engineer's state: the task at hand and the files so far."""

    task: m.Task | None = None
    round: int = 0
    files: dict[str, Ref] = {}
    orders: Orders = Orders(model="model-engineer")

    @property
    def phase(self) -> Literal["idle", "coding", "running"]:
        """What it waits for: nothing, its model, or the acceptance command."""
        if self.orders.is_out(CALL):
            return "coding"
        return "running" if self.orders.is_out(RUN) else "idle"


def handle(bench: Bench, mail: Mail) -> Step:
    """Decide one mail."""
    return worker.handle(bench, mail, _decide, _exhausted)


def _exhausted(bench: Bench, mail: Mail) -> Step:
    if isinstance(mail.message, m.Task):
        return worker.without_end(_start(bench, mail.message).state, "the engineer")
    if bench.orders.messages > MAX_MESSAGES:
        return Step(bench)
    return worker.without_end(bench, "the engineer")


def _decide(bench: Bench, mail: Mail) -> Step:
    match mail.message:
        case m.Task() as task:
            return _start(bench, task)
        case m.Reply() as reply if _is_current(bench, reply, CALL):
            return _on_reply(bench, mail, reply)
        case m.Outcome() as outcome if _is_current(bench, outcome, RUN):
            return _on_outcome(bench, mail, outcome)
        case m.Reply() | m.Outcome():
            return Step(bench)
        case other:
            raise ValueError(f"the engineer has no rule for {type(other).__name__}")


def _is_current(bench: Bench, answer: m.Reply | m.Outcome, label: str) -> bool:
    """Say whether an answer is to the order that is out; a second answer to one is not."""
    task = bench.task
    if task is None or not bench.orders.is_out(label):
        return False
    return (answer.number, answer.rework, answer.round) == (task.number, task.rework, bench.round)


def _start(bench: Bench, task: m.Task) -> Step:
    bench = Bench(task=task, files=task.files, orders=bench.orders.none())
    findings = "\n".join(shown(finding) for finding in task.findings)
    return _code(bench, task, findings)


def _code(bench: Bench, task: m.Task, findings: str) -> Step:
    call = m.Call(
        turn=CALL,
        model=task.terms.models["engineer"],
        max_output_tokens=task.terms.max_output_tokens,
        number=task.number,
        rework=task.rework,
        round=bench.round,
        goal=task.goal,
        variables={
            "brief": _brief(task),
            "acceptance": msgspec.json.encode(task.plan.acceptance).decode(),
            "findings": shortened(findings, _FINDINGS_BYTES) or "none",
        },
        files=bench.files,
    )
    orders, letters = bench.orders.send(call)
    return Step(msgspec.structs.replace(bench, orders=orders), letters)


def _brief(task: m.Task) -> str:
    if not task.plan.protected:
        return task.plan.brief
    return f"{task.plan.brief}\n\nThese files must stay as they are: {', '.join(task.plan.protected)}"


def _on_reply(bench: Bench, mail: Mail, reply: m.Reply) -> Step:
    task = bench.task
    assert task is not None
    match reply.status:
        case "dropped":
            return worker.dropped(bench, CALL, mail)
        case "refused":
            parked = msgspec.structs.replace(bench, orders=bench.orders.park(CALL, mail))
            return _report(parked, task, "refused", refusal=reply.refusal)
        case "failed" if reply.error == "invalid_answer":
            return _again(bench, task, f"Your answer could not be read: {reply.detail}", ())
        case "failed":
            return _report(_cleared(bench), task, "failed", reason=f"{reply.error}: {reply.detail}")
    if reply.blocked:
        return _report(_cleared(bench), task, "blocked", reason=reply.blocked)
    files = {**bench.files, **reply.files}
    if problem := _not_allowed(task, files):
        return _again(bench, task, problem, ())
    return _run(msgspec.structs.replace(bench, files=files, orders=bench.orders.done(CALL)), task)


def _not_allowed(task: m.Task, files: m.Manifest) -> str:
    """Say what an answer may not write, in words for the model; "" if there is nothing."""
    if paths := [path for path in files if is_reserved(path)]:
        return f"Nothing may be written to {RESERVED}/: {', '.join(paths[:5])}"
    if paths := changed(task, files):
        return f"These files may not be changed: {', '.join(paths[:5])}"
    return ""


def _run(bench: Bench, task: m.Task) -> Step:
    run = m.Execute(
        run=RUN,
        number=task.number,
        rework=task.rework,
        round=bench.round,
        argv=task.plan.acceptance,
        files=bench.files,
        timeout_s=task.terms.run_timeout_s,
        keep=tuple(missing(task, bench.files)),
    )
    orders, letters = bench.orders.send(run)
    return Step(msgspec.structs.replace(bench, orders=orders), letters)


def _on_outcome(bench: Bench, mail: Mail, outcome: m.Outcome) -> Step:
    task = bench.task
    assert task is not None
    match outcome.status:
        case "dropped":
            return worker.dropped(bench, RUN, mail)
        case "not_started" | "engine_error":
            parked = msgspec.structs.replace(bench, orders=bench.orders.park(RUN, mail))
            return _report(parked, task, "stuck", reason=outcome.reason, fix=outcome.fix)
    evidence = evidence_of(outcome, task.plan.acceptance)
    if cannot_run(outcome):
        reason = f"the acceptance command cannot run\n{shown(evidence)}"
        return _report(_cleared(bench), task, "blocked", reason=reason, evidence=(evidence,))
    if outcome.status == "ok" and outcome.exit_code == 0:
        bench = msgspec.structs.replace(bench, files={**bench.files, **outcome.kept})
        return _report(_cleared(bench), task, "done", evidence=(evidence,))
    return _again(bench, task, shown(evidence), (evidence,))


def _again(bench: Bench, task: m.Task, findings: str, evidence: tuple[m.Evidence, ...]) -> Step:
    if bench.round >= task.terms.max_rounds:
        reason = f"no round of {bench.round + 1} passed: {findings}"
        return _report(_cleared(bench), task, "failed", reason=reason[:2000], evidence=evidence)
    orders = bench.orders.done(CALL).done(RUN)
    return _code(msgspec.structs.replace(bench, round=bench.round + 1, orders=orders), task, findings)


def _cleared(bench: Bench) -> Bench:
    return msgspec.structs.replace(bench, orders=bench.orders.done(CALL).done(RUN))


def _report(bench: Bench, task: m.Task, status: str, **said: Any) -> Step:
    files = bench.files if status == "done" else {}
    return worker.report(bench, task, status, files=files, rounds=bench.round + 1, **said)


ROLE: Role[Bench] = Role(
    name="engineer", version=3, state=Bench, handle=handle, is_over=lambda bench: bench.orders.over
)
