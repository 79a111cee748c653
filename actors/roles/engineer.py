"""The Engineer: writes code for a task until the acceptance command exits 0, at most `max_rounds` fixes.

    idle ──task──> coding ──reply(files)──> running ──outcome ok──> idle, result done
                     ^                         │
                     └──── outcome not ok ─────┘   after max_rounds: result failed
    anywhere ──close, or dropped for good──> over: nothing is sent any more

No money: result refused; no sandbox, or too many messages: result stuck; all keep their place until `go_on`.
Sends `call` to its model, `execute` to the sandbox, `result` to the COO.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from actors import messages as m
from actors.evidence import evidence_of, shortened, shown
from actors.orders import MAX_MESSAGES, Orders
from bus.envelope import Letter, Mail
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


def handle(bench: Bench, mail: Mail) -> Step:
    """Decide one mail."""
    orders = bench.orders.take(mail)
    if orders.over:
        return Step(Bench(orders=orders))
    bench = msgspec.structs.replace(bench, orders=orders)
    return _exhausted(bench, mail) if orders.exhausted else _decide(bench, mail)


def _exhausted(bench: Bench, mail: Mail) -> Step:
    """Say once that there is no end, and to each task that comes then; the rest waits for `go_on`."""
    if isinstance(mail.message, m.Task):
        bench = _start(bench, mail.message).state
    elif bench.orders.messages > MAX_MESSAGES:
        return Step(bench)
    if bench.task is None:
        return Step(bench)
    why = f"the engineer has had {bench.orders.messages} messages: the mission does not come to an end"
    return _report(bench, bench.task, "stuck", reason=why, fix="coo cancel it, or coo resume it")


def _decide(bench: Bench, mail: Mail) -> Step:
    match mail.message:
        case m.Task() as task:
            return _start(bench, task)
        case m.HoldWork():
            return Step(msgspec.structs.replace(bench, orders=bench.orders.hold()))
        case m.GoOn():
            orders, letters = bench.orders.go_on(mail.at)
            return Step(msgspec.structs.replace(bench, orders=orders), letters)
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
            "brief": task.plan.brief,
            "acceptance": msgspec.json.encode(task.plan.acceptance).decode(),
            "findings": shortened(findings, _FINDINGS_BYTES) or "none",
        },
        files=bench.files,
    )
    orders, letters = bench.orders.send(call)
    return Step(msgspec.structs.replace(bench, orders=orders), letters)


def _on_reply(bench: Bench, mail: Mail, reply: m.Reply) -> Step:
    task = bench.task
    assert task is not None
    match reply.status:
        case "dropped":
            orders, letters = bench.orders.dropped(CALL, mail)
            return Step(msgspec.structs.replace(bench, orders=orders), letters)
        case "refused":
            parked = msgspec.structs.replace(bench, orders=bench.orders.park(CALL, mail))
            return _report(parked, task, "refused", refusal=reply.refusal)
        case "failed" if reply.error == "invalid_answer":
            return _again(bench, task, f"Your answer could not be read: {reply.detail}", ())
        case "failed":
            return _report(_cleared(bench), task, "failed", reason=f"{reply.error}: {reply.detail}")
    bench = msgspec.structs.replace(
        bench, files={**bench.files, **reply.files}, orders=bench.orders.done(CALL)
    )
    run = m.Execute(
        run=RUN,
        number=task.number,
        rework=task.rework,
        round=bench.round,
        argv=task.plan.acceptance,
        files=bench.files,
        timeout_s=task.terms.run_timeout_s,
    )
    orders, letters = bench.orders.send(run)
    return Step(msgspec.structs.replace(bench, orders=orders), letters)


def _on_outcome(bench: Bench, mail: Mail, outcome: m.Outcome) -> Step:
    task = bench.task
    assert task is not None
    match outcome.status:
        case "dropped":
            orders, letters = bench.orders.dropped(RUN, mail)
            return Step(msgspec.structs.replace(bench, orders=orders), letters)
        case "not_started" | "engine_error":
            parked = msgspec.structs.replace(bench, orders=bench.orders.park(RUN, mail))
            return _report(parked, task, "stuck", reason=outcome.reason, fix=outcome.fix)
    evidence = evidence_of(outcome, task.plan.acceptance)
    if outcome.status == "ok" and outcome.exit_code == 0:
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


def _report(
    bench: Bench,
    task: m.Task,
    status: str,
    *,
    reason: str = "",
    fix: str = "",
    evidence: tuple[m.Evidence, ...] = (),
    refusal: m.Refusal | None = None,
) -> Step:
    result = m.Result(
        number=task.number,
        rework=task.rework,
        status=status,  # type: ignore[arg-type]
        files=bench.files if status == "done" else {},
        rounds=bench.round + 1,
        reason=reason,
        fix=fix,
        evidence=evidence,
        refusal=refusal,
    )
    return Step(bench, [Letter(to="coo", message=result)])


ROLE: Role[Bench] = Role(
    name="engineer", version=2, state=Bench, handle=handle, is_over=lambda bench: bench.orders.over
)
