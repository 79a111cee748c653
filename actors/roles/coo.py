"""The COO: plans a mission, hands out its tasks one by one, and is the only one to say what state it is in.

    created ──opened──> planning ──plan──> executing ──done──> reviewing ──approved──> next task, or the end
                                              ^                    │
                                              └───── rejected ─────┘
    the end: release asked for ──approved──> completed; none asked for: completed
    anywhere: paused_budget, paused_approval, paused_error, paused_manual; failed; cancelled

A mission has a stage, and is paused on top of it; resuming returns to the stage. What arrives while paused
is taken into account, and what it would have started is owed until then. Sends `open` and `close` to the
guard, `call` to its model, `task`, `hold_work` and `go_on` to Engineer and QA, `request` to approval, `wake`
to the clock, and `status` to the CEO before anything else that a new state starts.

Without money it is paused_budget: it may ask for a raise, and goes on when the guard says `raised`, at the
CEO's word, or when a new day or month begins. Paused for long it gives its slot back, and when it is resumed
it asks for one before it goes on.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from actors import messages as m
from actors.agenda import (
    Desk,
    Job,
    begin,
    digest_of,
    end,
    not_raised,
    on_frozen,
    on_queued,
    on_raised,
    on_slot,
    open_order,
    out_of_money,
    pause,
    plan_call,
    release_request,
    resume,
    task_for,
    until_new_period,
    with_job,
)
from actors.notices import declined, status, told, wake
from bus.envelope import Letter, Mail
from bus.fold import Role, Step
from bus.table import Error

MAX_PLANS = 3
"""How many unreadable plans the model may write before the mission fails."""

_SECOND_NS = 1_000_000_000


def handle(desk: Desk, mail: Mail) -> Step:
    """Decide one mail. Whatever changes the state is told to the CEO first."""
    if desk.stage == "none":
        return _before(desk, mail)
    if desk.final:
        return _after(desk, mail)
    desk = msgspec.structs.replace(desk, mails=desk.mails + 1)
    changed, letters = _event(desk, mail)
    if not changed.final and not changed.paused and changed.mails >= changed.terms.max_mails:
        why = f"{changed.mails} mails: the mission does not come to an end"
        changed = pause(changed, "paused_error", why, "coo cancel it, or coo resume it")
    if changed.pauses > desk.pauses:
        ends_ns = mail.now_ns + changed.terms.pause_timeout_s * _SECOND_NS
        park_ns = mail.now_ns + changed.terms.park_after_s * _SECOND_NS if changed.terms.park_after_s else 0
        changed = msgspec.structs.replace(changed, pause_ends_ns=ends_ns, park_ns=park_ns)
        changed = until_new_period(changed, mail.now_ns)
    changed, orders = _drive(changed)
    notices = told(desk, changed, mail)
    return Step(changed, [*notices, *letters, *orders])


def _before(desk: Desk, mail: Mail) -> Step:
    match mail.message:
        case m.Mission() as mission:
            desk = Desk(mission=mission, stage="opening", mails=1, cap=mission.budget_microusd)
            letters = [status(desk, mail), Letter(to="budget", message=open_order(desk))]
            if mission.terms.deadline_s:
                letters.append(wake("deadline", mail.now_ns + mission.terms.deadline_s * _SECOND_NS))
            return Step(desk, letters)
        case m.Control():
            return Step(desk, [declined("there is no such mission")])
        case _:
            return Step(desk)  # nothing to tell about a mission that nobody gave


def _after(desk: Desk, mail: Mail) -> Step:
    if isinstance(mail.message, m.Control | m.Mission):
        return Step(desk, [declined(f"the mission is {desk.final}")])
    return Step(desk)


# -- events ---------------------------------------------------------------------------------------------


def _event(desk: Desk, mail: Mail) -> tuple[Desk, list[Letter]]:
    """Take one mail into account, without sending what the stage owes."""
    match mail.message:
        case m.Control() as control:
            return _on_control(desk, control)
        case Error() as error:
            return _on_error(desk, error), []
        case m.Tick() as tick:
            return _on_tick(desk, tick)
        case m.Opened() if desk.stage == "opening":
            return begin(
                desk if desk.paused else msgspec.structs.replace(desk, reason="", fix=""), "planning"
            ), []
        case m.Opened() if desk.slotless:
            return on_slot(desk)
        case m.Queued(slots=slots) if desk.stage == "opening" or desk.slotless:
            return on_queued(desk, slots), []
        case m.Reply() as reply if desk.stage == "planning" and not desk.owed:
            return _on_plan(desk, mail, reply), []
        case m.Result() as result if _is_current(desk, mail, result):
            return _on_result(desk, mail, result), []
        case m.Raised() as raised:
            return on_raised(desk, raised)
        case m.Frozen() as frozen:
            return on_frozen(desk, mail, frozen), []
        case m.Rejected(digest=digest, note=note) if desk.asks_raise and digest == desk.asks_raise:
            return not_raised(desk, f"the CEO rejected the raise: {note or 'no reason given'}"), []
        case m.Expired(digest=digest) if desk.asks_raise and digest == desk.asks_raise:
            return msgspec.structs.replace(desk, reason="nobody decided on the raise in time"), []
        case m.Approved(digest=digest) if desk.stage == "releasing" and digest == desk.digest:
            return begin(desk, "finishing"), []
        case m.Rejected(digest=digest, note=note) if desk.stage == "releasing" and digest == desk.digest:
            return end(desk, "failed", f"the CEO rejected the release: {note or 'no reason given'}"), []
        case m.Expired(digest=digest) if desk.stage == "releasing" and digest == desk.digest:
            return msgspec.structs.replace(desk, reason="nobody decided on the release in time"), []
        case m.Mission():
            return desk, [declined("this mission was given before")]
        case m.Opened() | m.Queued() | m.Reply() | m.Result() | m.Approved() | m.Rejected() | m.Expired():
            return desk, []  # late or repeated: another mail has moved the mission on
        case other:
            raise ValueError(f"the COO has no rule for {type(other).__name__}")


def _on_control(desk: Desk, control: m.Control) -> tuple[Desk, list[Letter]]:
    match control.action:
        case "cancel":
            return end(desk, "cancelled", control.reason or "the CEO cancelled it"), []
        case "pause" if not desk.paused and desk.stage != "releasing":
            return pause(desk, "paused_manual", control.reason or "the CEO paused it", "coo resume"), []
        case "resume" if desk.paused:
            return resume(desk)
    return desk, [declined(f"{control.action} changes nothing: the mission is {desk.state}")]


def _on_error(desk: Desk, error: Error) -> Desk:
    why = f"{error.mailbox} could not handle message {error.seq}: {error.reason}: {error.detail}"
    fix = "coo dlq ls; coo dlq show and replay; then coo resume, or coo cancel"
    return pause(desk, "paused_error", why, fix) if desk.paused != "paused_error" else desk


def _on_tick(desk: Desk, tick: m.Tick) -> tuple[Desk, list[Letter]]:
    if tick.name == "deadline":
        return end(desk, "failed", "deadline: the time given for the mission is over"), []
    if tick.name == "new_period" and tick.at_ns == desk.new_period_ns and desk.paused == "paused_budget":
        return resume(desk)
    waiting = desk.paused or desk.stage == "releasing"
    if tick.name == "park" and tick.at_ns == desk.park_ns and waiting and not desk.slotless:
        return msgspec.structs.replace(desk, slotless=True), [Letter(to="budget", message=m.Park())]
    if tick.name == "pause" and tick.at_ns == desk.pause_ends_ns and waiting:
        return end(desk, "failed", f"paused_timeout: nobody resumed it ({desk.reason})"), []
    return desk, []


def _on_plan(desk: Desk, mail: Mail, reply: m.Reply) -> Desk:
    again = msgspec.structs.replace(desk, owed=True, retry_of=mail.cause.partition("/")[2])
    match reply.status:
        case "dropped":
            return again
        case "refused":
            return out_of_money(again, mail, reply.refusal)
        case "failed" if reply.error == "invalid_answer" and desk.plans + 1 < MAX_PLANS:
            return msgspec.structs.replace(desk, owed=True, plans=desk.plans + 1)
        case "failed":
            return end(desk, "failed", f"{reply.error}: {reply.detail}")
    if not 0 < len(reply.plan) <= desk.terms.max_tasks:
        why = f"invalid_plan: {len(reply.plan)} tasks, not 1 to {desk.terms.max_tasks}"
        return end(desk, "failed", why)
    jobs = tuple(Job(plan=task) for task in reply.plan)
    return begin(msgspec.structs.replace(desk, jobs=jobs), "executing")


def _is_current(desk: Desk, mail: Mail, result: m.Result) -> bool:
    """Say whether a result is of the task, the role and the round of rework that is out."""
    if desk.stage not in ("executing", "reviewing") or desk.owed:
        return False
    role = "engineer" if desk.stage == "executing" else "qa"
    job = desk.jobs[desk.current]
    return (mail.sender, result.number, result.rework) == (role, desk.current, job.rework)


def _on_result(desk: Desk, mail: Mail, result: m.Result) -> Desk:
    match result.status:
        case "refused":
            return out_of_money(desk, mail, result.refusal)
        case "stuck":
            return pause(desk, "paused_error", result.reason, result.fix)
        case "failed":
            desk = with_job(desk, state="failed")
            return end(desk, "failed", f"task {desk.current + 1}, {mail.sender}: {result.reason}")
        case "done" if desk.stage == "executing":
            attempts = desk.jobs[desk.current].attempts + result.rounds
            desk = msgspec.structs.replace(with_job(desk, attempts=attempts), work=result.files)
            return begin(desk, "reviewing")
        case "approved" if desk.stage == "reviewing":
            return _next(msgspec.structs.replace(with_job(desk, state="done"), files=desk.work))
        case "rejected" if desk.stage == "reviewing":
            return _rework(desk, result)
    raise ValueError(f"{mail.sender} cannot say {result.status} while {desk.stage}")


def _rework(desk: Desk, result: m.Result) -> Desk:
    job = desk.jobs[desk.current]
    desk = with_job(desk, rework=job.rework + 1, findings=result.findings)
    desk = begin(msgspec.structs.replace(desk, loops=desk.loops + 1), "executing")
    if desk.loops <= desk.terms.max_loops:
        return desk
    why = f"QA sent work back {desk.loops} times, more than the {desk.terms.max_loops} allowed"
    return pause(desk, "paused_error", why, "coo resume for another round, or coo cancel")


def _next(desk: Desk) -> Desk:
    if desk.current + 1 < len(desk.jobs):
        return begin(msgspec.structs.replace(desk, current=desk.current + 1), "executing")
    if not desk.terms.ask_release:
        return begin(desk, "finishing")
    desk = msgspec.structs.replace(desk, pauses=desk.pauses + 1, reason="waiting for the CEO to release it")
    return begin(msgspec.structs.replace(desk, digest=digest_of(desk.files)), "releasing")


# -- letters --------------------------------------------------------------------------------------------


def _drive(desk: Desk) -> tuple[Desk, list[Letter]]:
    """Send what the stage owes, unless the mission is paused or over."""
    if not desk.owed or desk.paused or desk.final or (desk.slotless and desk.stage != "finishing"):
        return desk, []
    assert desk.mission is not None
    if desk.stage == "finishing":
        return end(desk, "completed"), []
    sent = msgspec.structs.replace(desk, owed=False, retry_of="")
    if desk.stage == "planning":
        return sent, [Letter(to="model-coo", message=plan_call(desk), retry_of=desk.retry_of)]
    if desk.stage == "releasing":
        return sent, [Letter(to="approval", message=release_request(desk))]
    role: Literal["engineer", "qa"] = "engineer" if desk.stage == "executing" else "qa"
    sent = with_job(sent, state=desk.stage)
    return sent, [Letter(to=role, message=task_for(desk, role))]


ROLE: Role[Desk] = Role(name="coo", version=4, state=Desk, handle=handle)
