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
CEO's word, or when a new day or month begins.
"""

from __future__ import annotations

import hashlib
from typing import Literal

import msgspec

from actors import messages as m
from actors import raising
from actors.money import usd
from bus.envelope import Letter, Mail
from bus.fold import Role, Step
from bus.table import Error, Ref

MAX_PLANS = 3
"""How many unreadable plans the model may write before the mission fails."""

_SECOND_NS = 1_000_000_000

Stage = Literal["none", "opening", "planning", "executing", "reviewing", "releasing", "finishing", "over"]
_STATE_OF: dict[Stage, m.State] = {
    "opening": "created",
    "planning": "planning",
    "executing": "executing",
    "reviewing": "reviewing",
    "releasing": "paused_approval",
    "finishing": "reviewing",
}


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """One task of the plan, and where it is."""

    plan: m.PlannedTask
    state: Literal["waiting", "executing", "reviewing", "done", "failed"] = "waiting"
    rework: int = 0
    attempts: int = 0
    findings: tuple[m.Finding, ...] = ()


class Desk(msgspec.Struct, frozen=True, kw_only=True):
    """The COO's state of one mission.

    `owed` says that the stage's order has not been sent. `files` is what QA approved so far, `work` what
    the Engineer handed in for the task under review.
    """

    mission: m.Mission | None = None
    stage: Stage = "none"
    paused: Literal["", "paused_budget", "paused_error", "paused_manual"] = ""
    final: Literal["", "completed", "failed", "cancelled"] = ""
    reason: str = ""
    fix: str = ""
    refusal: m.Refusal | None = None
    owed: bool = False
    retry_of: str = ""
    jobs: tuple[Job, ...] = ()
    current: int = 0
    files: dict[str, Ref] = {}
    work: dict[str, Ref] = {}
    plans: int = 0
    loops: int = 0
    mails: int = 0
    pauses: int = 0
    pause_ends_ns: int = 0
    new_period_ns: int = 0
    digest: str = ""
    cap: int = 0
    asks_raise: str = ""
    raise_microusd: int = 0
    asked_raises: int = 0

    @property
    def state(self) -> m.State:
        return self.final or self.paused or _STATE_OF[self.stage]

    @property
    def terms(self) -> m.Terms:
        assert self.mission is not None
        return self.mission.terms


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
        changed = _pause(changed, "paused_error", why, "coo cancel it, or coo resume it")
    if changed.pauses > desk.pauses:
        ends_ns = mail.now_ns + changed.terms.pause_timeout_s * _SECOND_NS
        changed = msgspec.structs.replace(changed, pause_ends_ns=ends_ns)
        changed = _until_new_period(changed, mail.now_ns)
    changed, orders = _drive(changed)
    told = _told(desk, changed, mail)
    return Step(changed, [*told, *letters, *orders])


def _before(desk: Desk, mail: Mail) -> Step:
    match mail.message:
        case m.Mission() as mission:
            desk = Desk(mission=mission, stage="opening", mails=1, cap=mission.budget_microusd)
            letters = [_status(desk, mail), Letter(to="budget", message=_open(mission))]
            if mission.terms.deadline_s:
                letters.append(_wake("deadline", mail.now_ns + mission.terms.deadline_s * _SECOND_NS))
            return Step(desk, letters)
        case m.Control():
            return Step(desk, [_declined("there is no such mission")])
        case _:
            return Step(desk)  # nothing to tell about a mission that nobody gave


def _after(desk: Desk, mail: Mail) -> Step:
    if isinstance(mail.message, m.Control | m.Mission):
        return Step(desk, [_declined(f"the mission is {desk.final}")])
    return Step(desk)


def _open(mission: m.Mission) -> m.Open:
    return m.Open(cap_microusd=mission.budget_microusd)


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
            return _stage(desk, "planning"), []
        case m.Reply() as reply if desk.stage == "planning" and not desk.owed:
            return _on_plan(desk, mail, reply), []
        case m.Result() as result if _is_current(desk, mail, result):
            return _on_result(desk, mail, result), []
        case m.Raised() as raised:
            return _on_raised(desk, raised)
        case m.Frozen() as frozen:
            return _on_frozen(desk, mail, frozen), []
        case m.Rejected(digest=digest, note=note) if desk.asks_raise and digest == desk.asks_raise:
            return _no_raise(desk, f"the CEO rejected the raise: {note or 'no reason given'}"), []
        case m.Expired(digest=digest) if desk.asks_raise and digest == desk.asks_raise:
            return msgspec.structs.replace(desk, reason="nobody decided on the raise in time"), []
        case m.Approved(digest=digest) if desk.stage == "releasing" and digest == desk.digest:
            return _stage(desk, "finishing"), []
        case m.Rejected(digest=digest, note=note) if desk.stage == "releasing" and digest == desk.digest:
            return _end(desk, "failed", f"the CEO rejected the release: {note or 'no reason given'}"), []
        case m.Expired(digest=digest) if desk.stage == "releasing" and digest == desk.digest:
            return msgspec.structs.replace(desk, reason="nobody decided on the release in time"), []
        case m.Mission():
            return desk, [_declined("this mission was given before")]
        case m.Opened() | m.Reply() | m.Result() | m.Approved() | m.Rejected() | m.Expired():
            return desk, []  # late or repeated: another mail has moved the mission on
        case other:
            raise ValueError(f"the COO has no rule for {type(other).__name__}")


def _on_control(desk: Desk, control: m.Control) -> tuple[Desk, list[Letter]]:
    match control.action:
        case "cancel":
            return _end(desk, "cancelled", control.reason or "the CEO cancelled it"), []
        case "pause" if not desk.paused and desk.stage != "releasing":
            return _pause(desk, "paused_manual", control.reason or "the CEO paused it", "coo resume"), []
        case "resume" if desk.paused:
            return _resume(desk)
    return desk, [_declined(f"{control.action} changes nothing: the mission is {desk.state}")]


def _on_error(desk: Desk, error: Error) -> Desk:
    why = f"{error.mailbox} could not handle message {error.seq}: {error.reason}: {error.detail}"
    fix = "coo dlq ls; coo dlq show and replay; then coo resume, or coo cancel"
    return _pause(desk, "paused_error", why, fix) if desk.paused != "paused_error" else desk


def _on_tick(desk: Desk, tick: m.Tick) -> tuple[Desk, list[Letter]]:
    if tick.name == "deadline":
        return _end(desk, "failed", "deadline: the time given for the mission is over"), []
    if tick.name == "new_period" and tick.at_ns == desk.new_period_ns and desk.paused == "paused_budget":
        return _resume(desk)
    waiting = desk.paused or desk.stage == "releasing"
    if tick.name == "pause" and tick.at_ns == desk.pause_ends_ns and waiting:
        return _end(desk, "failed", f"paused_timeout: nobody resumed it ({desk.reason})"), []
    return desk, []


def _on_plan(desk: Desk, mail: Mail, reply: m.Reply) -> Desk:
    again = msgspec.structs.replace(desk, owed=True, retry_of=mail.cause.partition("/")[2])
    match reply.status:
        case "dropped":
            return again
        case "refused":
            return _no_money(again, mail, reply.refusal)
        case "failed" if reply.error == "invalid_answer" and desk.plans + 1 < MAX_PLANS:
            return msgspec.structs.replace(desk, owed=True, plans=desk.plans + 1)
        case "failed":
            return _end(desk, "failed", f"{reply.error}: {reply.detail}")
    if not 0 < len(reply.plan) <= desk.terms.max_tasks:
        why = f"invalid_plan: {len(reply.plan)} tasks, not 1 to {desk.terms.max_tasks}"
        return _end(desk, "failed", why)
    jobs = tuple(Job(plan=task) for task in reply.plan)
    return _stage(msgspec.structs.replace(desk, jobs=jobs), "executing")


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
            return _no_money(desk, mail, result.refusal)
        case "stuck":
            return _pause(desk, "paused_error", result.reason, result.fix)
        case "failed":
            desk = _job(desk, state="failed")
            return _end(desk, "failed", f"task {desk.current + 1}, {mail.sender}: {result.reason}")
        case "done" if desk.stage == "executing":
            attempts = desk.jobs[desk.current].attempts + result.rounds
            desk = msgspec.structs.replace(_job(desk, attempts=attempts), work=result.files)
            return _stage(desk, "reviewing")
        case "approved" if desk.stage == "reviewing":
            return _next(msgspec.structs.replace(_job(desk, state="done"), files=desk.work))
        case "rejected" if desk.stage == "reviewing":
            return _rework(desk, result)
    raise ValueError(f"{mail.sender} cannot say {result.status} while {desk.stage}")


def _rework(desk: Desk, result: m.Result) -> Desk:
    job = desk.jobs[desk.current]
    desk = _job(desk, rework=job.rework + 1, findings=result.findings)
    desk = _stage(msgspec.structs.replace(desk, loops=desk.loops + 1), "executing")
    if desk.loops <= desk.terms.max_loops:
        return desk
    why = f"QA sent work back {desk.loops} times, more than the {desk.terms.max_loops} allowed"
    return _pause(desk, "paused_error", why, "coo resume for another round, or coo cancel")


def _next(desk: Desk) -> Desk:
    if desk.current + 1 < len(desk.jobs):
        return _stage(msgspec.structs.replace(desk, current=desk.current + 1), "executing")
    if not desk.terms.ask_release:
        return _stage(desk, "finishing")
    desk = msgspec.structs.replace(desk, pauses=desk.pauses + 1, reason="waiting for the CEO to release it")
    return _stage(msgspec.structs.replace(desk, digest=digest_of(desk.files)), "releasing")


def digest_of(files: m.Manifest) -> str:
    """Return the sha256 of exactly what is released: the paths and contents of the deliverable."""
    listing = "".join(f"{ref.digest} {ref.size} {path}\n" for path, ref in sorted(files.items()))
    return hashlib.sha256(listing.encode()).hexdigest()


# -- changes --------------------------------------------------------------------------------------------


def _stage(desk: Desk, stage: Stage) -> Desk:
    return msgspec.structs.replace(desk, stage=stage, owed=True, retry_of="")


def _job(desk: Desk, **changes: object) -> Desk:
    job = msgspec.structs.replace(desk.jobs[desk.current], **changes)
    return msgspec.structs.replace(
        desk, jobs=(*desk.jobs[: desk.current], job, *desk.jobs[desk.current + 1 :])
    )


def _pause(
    desk: Desk, how: Literal["paused_budget", "paused_error", "paused_manual"], why: str, fix: str
) -> Desk:
    return msgspec.structs.replace(desk, paused=how, reason=why, fix=fix, pauses=desk.pauses + 1)


def _no_money(desk: Desk, mail: Mail, refusal: m.Refusal | None) -> Desk:
    """Pause for want of money, and ask for a raise if the cap is what is in the way and the terms say so."""
    if refusal is None:
        return _pause(desk, "paused_budget", "no money", f"coo budget raise {mail.mission} +USD")
    fix = raising.fix(refusal, mail.mission, desk.terms.on_new_day)
    desk = msgspec.structs.replace(
        _pause(desk, "paused_budget", raising.reason(refusal), fix), refusal=refusal
    )
    may_ask = desk.terms.ask_raise and desk.asked_raises < raising.MAX_RAISES and not desk.asks_raise
    if refusal.scope != "mission" or not may_ask:
        return desk
    assert desk.mission is not None
    more = raising.amount(refusal, desk.mission.budget_microusd)
    return msgspec.structs.replace(
        desk,
        asks_raise=raising.digest_of(desk.cap, more),
        raise_microusd=more,
        asked_raises=desk.asked_raises + 1,
        fix=f"coo approve {mail.mission} to raise the cap by ${usd(more)}, or coo reject {mail.mission}",
    )


def _no_raise(desk: Desk, why: str) -> Desk:
    """Stay paused, and ask no more."""
    return msgspec.structs.replace(
        desk, reason=why, fix="", asks_raise="", raise_microusd=0, asked_raises=raising.MAX_RAISES
    )


def _on_raised(desk: Desk, raised: m.Raised) -> tuple[Desk, list[Letter]]:
    """Go on with the new cap, unless it was another limit that is in the way."""
    if not raised.applied:
        return _no_raise(desk, "the guard raises no more for the company: raise it yourself"), []
    desk = msgspec.structs.replace(desk, cap=raised.cap_microusd)
    other = desk.refusal is not None and desk.refusal.scope in ("day", "month", "no_limits")
    return _resume(desk) if desk.paused == "paused_budget" and not other else (desk, [])


def _on_frozen(desk: Desk, mail: Mail, frozen: m.Frozen) -> Desk:
    cost, held = usd(frozen.cost_microusd), usd(frozen.held_microusd)
    why = f"{frozen.reason}: a call was billed at ${cost}, ${held} were held for it; all of it is booked"
    fix = f"look: coo budget ledger {mail.mission}; then coo budget raise {mail.mission} +USD, or coo cancel"
    return _pause(desk, "paused_budget", why, fix) if desk.paused in ("", "paused_budget") else desk


def _until_new_period(desk: Desk, now_ns: int) -> Desk:
    """Note when a mission that waits for a day or month limit may go on by itself; 0 is never."""
    scope = desk.refusal.scope if desk.refusal and desk.paused == "paused_budget" else ""
    waits = scope in ("day", "month") and desk.terms.on_new_day == "resume"
    return msgspec.structs.replace(desk, new_period_ns=raising.next_period_ns(scope, now_ns) if waits else 0)


def _resume(desk: Desk) -> tuple[Desk, list[Letter]]:
    desk = msgspec.structs.replace(
        desk, paused="", reason="", fix="", refusal=None, mails=0, asks_raise="", raise_microusd=0
    )
    return desk, [Letter(to=role, message=m.GoOn()) for role in ("engineer", "qa")]


def _end(desk: Desk, final: Literal["completed", "failed", "cancelled"], why: str = "") -> Desk:
    return msgspec.structs.replace(
        desk,
        final=final,
        stage="over",
        paused="",
        reason=why,
        fix="",
        refusal=None,
        owed=False,
        asks_raise="",
    )


# -- letters --------------------------------------------------------------------------------------------


def _drive(desk: Desk) -> tuple[Desk, list[Letter]]:
    """Send what the stage owes, unless the mission is paused or over."""
    if not desk.owed or desk.paused or desk.final:
        return desk, []
    assert desk.mission is not None
    if desk.stage == "finishing":
        return _end(desk, "completed"), []
    sent = msgspec.structs.replace(desk, owed=False, retry_of="")
    if desk.stage == "planning":
        return sent, [Letter(to="model-coo", message=_plan_call(desk), retry_of=desk.retry_of)]
    if desk.stage == "releasing":
        request = m.Request(
            what="release",
            digest=desk.digest,
            why=f"{len(desk.files)} files for: {desk.mission.goal[:500]}",
            timeout_s=desk.terms.approval_timeout_s,
        )
        return sent, [Letter(to="approval", message=request)]
    role: Literal["engineer", "qa"] = "engineer" if desk.stage == "executing" else "qa"
    sent = _job(sent, state=desk.stage)
    return sent, [Letter(to=role, message=_task(desk, role))]


def _plan_call(desk: Desk) -> m.Call:
    assert desk.mission is not None
    return m.Call(
        turn="plan",
        model=desk.terms.models["coo"],
        max_output_tokens=desk.terms.max_output_tokens,
        round=desk.plans,
        goal=desk.mission.goal,
        variables={"goal": desk.mission.goal, "max_tasks": str(desk.terms.max_tasks)},
    )


def _task(desk: Desk, role: Literal["engineer", "qa"]) -> m.Task:
    assert desk.mission is not None
    job = desk.jobs[desk.current]
    start = desk.work if job.rework else desk.files
    return m.Task(
        number=desk.current,
        plan=job.plan,
        goal=desk.mission.goal,
        terms=desk.terms,
        files=start if role == "engineer" else desk.work,
        rework=job.rework,
        findings=job.findings,
    )


def _told(before: Desk, after: Desk, mail: Mail) -> list[Letter]:
    """Tell the CEO and the others of a new state."""
    letters: list[Letter] = []
    if (before.state, before.jobs, before.reason, before.cap) == (
        after.state,
        after.jobs,
        after.reason,
        after.cap,
    ):
        return letters
    letters.append(_status(after, mail))
    if after.final:
        return [*letters, Letter(to="budget", message=m.Close(state=after.final))]
    if after.paused and not before.paused:
        hold = m.HoldWork(reason=after.reason)
        letters += [Letter(to=role, message=hold) for role in ("engineer", "qa")]
    if after.pauses > before.pauses:
        letters.append(_wake("pause", after.pause_ends_ns))
        if after.new_period_ns:
            letters.append(_wake("new_period", after.new_period_ns))
    if after.asks_raise and after.asks_raise != before.asks_raise:
        letters.append(_raise_request(after))
    return letters


def _raise_request(desk: Desk) -> Letter:
    request = m.Request(
        what="raise",
        digest=desk.asks_raise,
        why=desk.reason,
        timeout_s=desk.terms.approval_timeout_s,
        raise_microusd=desk.raise_microusd,
    )
    return Letter(to="approval", message=request)


def _status(desk: Desk, mail: Mail) -> Letter:
    tasks = tuple(
        m.TaskStatus(title=job.plan.title, state=job.state, attempts=job.attempts) for job in desk.jobs
    )
    status = m.Status(
        state=desk.state,
        at=mail.seq,
        reason=desk.reason,
        fix=desk.fix,
        tasks=tasks,
        asks=desk.asks_raise or (desk.digest if desk.stage == "releasing" else ""),
        refusal=desk.refusal,
        raise_microusd=desk.raise_microusd if desk.asks_raise else 0,
        cap_microusd=desk.cap,
        deliverable=desk.files if desk.final == "completed" or desk.stage == "releasing" else {},
    )
    return Letter(to="ceo", message=status)


def _wake(name: str, at_ns: int) -> Letter:
    return Letter(to="clock", message=m.Wake(name=name, at_ns=at_ns))


def _declined(reason: str) -> Letter:
    return Letter(to="ceo", message=m.Declined(reason=reason))


ROLE: Role[Desk] = Role(name="coo", version=2, state=Desk, handle=handle)
