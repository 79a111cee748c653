"""What the COO makes of a plan, and of what Engineer and QA say of a task. Pure."""

from __future__ import annotations

import msgspec

from actors import messages as m
from actors.roles.coo.agenda import end, move, out_of_money, pause, unhindered, with_job
from actors.roles.coo.orders import most_tasks
from actors.roles.coo.standing import Desk, Job
from actors.roles.evidence import digest_of, is_reserved
from bus.envelope import Mail

MAX_PLANS = 3
"""How many unreadable plans the model may write in a row before the mission fails."""

MAX_REPLANS = 2
"""How often a plan that cannot be carried out is made anew."""


def on_plan(desk: Desk, mail: Mail, reply: m.Reply) -> Desk:
    """Take the plan: what is done stays, and its tasks come after that."""
    again = move(desk, "the call was dropped or refused")
    again = msgspec.structs.replace(again, retry_of=mail.cause.partition("/")[2])
    match reply.status:
        case "dropped":
            return again
        case "refused":
            return out_of_money(again, mail, reply.refusal)
        case "failed" if reply.error == "invalid_answer":
            return _unreadable(desk, f"{reply.error}: {reply.detail}")
        case "failed":
            return end(desk, "no usable plan", f"{reply.error}: {reply.detail}")
    if why := _unusable(desk, reply.plan):
        return end(desk, "no usable plan", f"invalid_plan: {why}")
    jobs = (*desk.jobs[: desk.current], *(Job(plan=task) for task in reply.plan))
    return move(msgspec.structs.replace(desk, jobs=jobs, unreadable=0), "a plan")


def _unreadable(desk: Desk, why: str) -> Desk:
    if desk.unreadable + 1 >= MAX_PLANS:
        return end(desk, "no usable plan", why)
    again = msgspec.structs.replace(desk, plans=desk.plans + 1, unreadable=desk.unreadable + 1)
    return move(again, "an unreadable plan")


def _unusable(desk: Desk, plan: tuple[m.PlannedTask, ...]) -> str:
    """Say why a plan cannot be carried out; "" if nothing is seen."""
    most = most_tasks(desk)
    if not 0 < len(plan) <= most:
        return f"{len(plan)} tasks, not 1 to {most}"
    for task in plan:
        if paths := [path for path in (*task.outputs, *task.protected) if is_reserved(path)]:
            return f"{task.title} names {paths[0]}, which is QA's"
        if both := set(task.outputs) & set(task.protected):
            return f"{task.title} is to write {min(both)}, and must not change it"
    return ""


def is_current(desk: Desk, mail: Mail, result: m.Result) -> bool:
    """Say whether a result is of the task, the role and the round of rework that is out."""
    if desk.stage not in ("executing", "reviewing") or desk.owed:
        return False
    role = "engineer" if desk.stage == "executing" else "qa"
    job = desk.jobs[desk.current]
    return (mail.sender, result.number, result.rework) == (role, desk.current, job.rework)


def on_result(desk: Desk, mail: Mail, result: m.Result) -> Desk:
    """Take what Engineer or QA say of the task at hand."""
    match result.status:
        case "refused":
            return out_of_money(desk, mail, result.refusal)
        case "stuck":
            return pause(desk, "stuck", result.reason, result.fix)
        case "failed":
            desk = with_job(desk, state="failed")
            return end(desk, "the task failed", f"task {desk.current + 1}, {mail.sender}: {result.reason}")
        case "done" if desk.stage == "executing":
            attempts = desk.jobs[desk.current].attempts + result.rounds
            desk = msgspec.structs.replace(with_job(desk, attempts=attempts), work=result.files)
            return move(desk, "the acceptance command passed")
        case "blocked":
            return _replan(desk, mail, result)
        case "approved" if desk.stage == "reviewing":
            return _approved(desk, result)
        case "rejected" if desk.stage == "reviewing":
            return _rework(desk, result)
    raise ValueError(f"{mail.sender} cannot say {result.status} while {desk.stage}")


def _replan(desk: Desk, mail: Mail, result: m.Result) -> Desk:
    """Have the rest planned anew, from the task on that cannot be done as it is planned."""
    why = f"task {desk.current + 1}, {mail.sender}: {result.reason}"
    if desk.replans >= MAX_REPLANS:
        return end(with_job(desk, state="failed"), "the task failed", f"blocked again: {why}"[:2000])
    desk = msgspec.structs.replace(
        desk, replans=desk.replans + 1, plans=desk.plans + 1, blocked=result.reason
    )
    return move(desk, "the plan cannot be carried out")


def _approved(desk: Desk, result: m.Result) -> Desk:
    """Take an approval of exactly the files that were handed in, on evidence that is enough for the terms.

    Logs of old have approvals without either; no version of QA that can be asked today says such a thing.
    """
    other = result.examined not in ("", digest_of(desk.work))
    too_little = result.rank == "claimed" and desk.terms.evidence == "observed"
    if other or too_little:
        return _reviewed_again(desk)
    rank = "claimed" if "claimed" in (desk.rank, result.rank) else result.rank
    return _next(msgspec.structs.replace(with_job(desk, state="done"), files=desk.work, rank=rank))


def _reviewed_again(desk: Desk) -> Desk:
    desk = move(msgspec.structs.replace(desk, loops=desk.loops + 1), "approved, but not what was handed in")
    if desk.loops <= desk.terms.max_loops:
        return desk
    why = "QA approves what was not handed in, or on evidence that is not enough"
    return pause(desk, "sent back too often", why, "coo resume for another review, or coo cancel")


def _rework(desk: Desk, result: m.Result) -> Desk:
    job = desk.jobs[desk.current]
    desk = with_job(desk, rework=job.rework + 1, findings=result.findings)
    desk = move(msgspec.structs.replace(desk, loops=desk.loops + 1), "rejected, with findings")
    if desk.loops <= desk.terms.max_loops:
        return desk
    why = f"QA sent work back {desk.loops} times, more than the {desk.terms.max_loops} allowed"
    return pause(desk, "sent back too often", why, "coo resume for another round, or coo cancel")


def _next(desk: Desk) -> Desk:
    if desk.current + 1 < len(desk.jobs):
        return move(msgspec.structs.replace(desk, current=desk.current + 1), "approved, next task")
    if not desk.terms.ask_release:
        return move(desk, "approved, last task")
    desk = msgspec.structs.replace(desk, digest=digest_of(desk.files))
    desk = move(desk, "approved, a release is asked for")
    return desk if desk.paused else msgspec.structs.replace(unhindered(desk), pauses=desk.pauses + 1)
