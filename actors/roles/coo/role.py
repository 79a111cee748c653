"""The COO: plans a mission, hands out its tasks one by one, and is the only one to say what state it is in.

    · ── a mission ──> created
    created ── its account is open ──> planning
    planning ── a plan ──> executing
    executing ── the acceptance command passed ──> reviewing
    executing ── the plan cannot be carried out ──> planning
    reviewing ── the plan cannot be carried out ──> planning
    reviewing ── rejected, with findings ──> executing
    reviewing ── approved, next task ──> executing
    reviewing ── approved, a release is asked for ──> paused_approval
    reviewing ── approved, last task ──> completed
    paused_approval ── released by the CEO ──> completed
    planning ── no usable plan ──> failed
    executing ── the task failed ──> failed
    reviewing ── the task failed ──> failed
    paused_approval ── not released by the CEO ──> failed
    work ── the CEO pauses it ──> paused_manual
    work ── too many messages; stuck; sent back too often; an error ──> paused_error
    work ── a bill froze it; no money ──> paused_budget
    paused_budget ── the cap is raised; a new day or month; the CEO resumes it ──> work
    paused_error ── the CEO resumes it ──> work
    paused_manual ── the CEO resumes it ──> work
    work ── the CEO cancels it ──> cancelled
    work ── its deadline; nobody resumed it; too many messages ──> failed

A mission has a stage, and is paused on top of it; resuming returns to the stage. What arrives while paused
is taken into account, and what it would have started is owed until then. Sends `open` and `close` to the
guard, `call` to its model, `task`, `hold_work` and `go_on` to Engineer and QA, `request` to approval, `wake`
to the clock, and `status` to the CEO before anything else that a new state starts. When a mission is over it
tells all of them by `close`, and is silent but for an answer to what the CEO still says.

Without money it is paused_budget: it may ask for a raise, and goes on when the guard says `raised`, at the
CEO's word, or when a new day or month begins. Paused for long it gives its slot back, and when it is resumed
it asks for one before it goes on.
"""

from __future__ import annotations

import msgspec

from actors import messages as m
from actors.days import SECOND_NS
from actors.roles.coo.agenda import (
    end,
    move,
    not_raised,
    on_frozen,
    on_queued,
    on_raised,
    on_slot,
    pause,
    resume,
    timed,
    with_job,
    without_end,
)
from actors.roles.coo.notices import declined, status, told, wake
from actors.roles.coo.orders import open_order, plan_call, release_request, task_for
from actors.roles.coo.results import is_current, on_plan, on_result
from actors.roles.coo.standing import Desk
from actors.roles.coo.states import PAUSES, moved, owed_in
from bus.envelope import Letter, Mail
from bus.fold import Role, Step
from bus.table import Error


def handle(desk: Desk, mail: Mail) -> Step:
    """Decide one mail. Whatever changes the state is told to the CEO first."""
    if desk.stage == "none":
        return _before(desk, mail)
    if desk.final:
        return _after(desk, mail)
    desk = msgspec.structs.replace(desk, mails=desk.mails + 1)
    changed, letters = _event(desk, mail)
    if changed.mails >= changed.terms.max_messages and not changed.final:
        changed, letters = without_end(changed, letters)
    if changed.pauses > desk.pauses:
        changed = timed(changed, mail.now_ns)
    changed, orders = _drive(changed)
    notices = told(desk, changed, mail)
    return Step(changed, [*notices, *letters, *orders])


def _before(desk: Desk, mail: Mail) -> Step:
    match mail.message:
        case m.Mission() as mission:
            desk = Desk(
                mission=mission, stage=moved("none", "a mission"), mails=1, cap=mission.budget_microusd
            )
            letters = [status(desk, mail), Letter(to="budget", message=open_order(desk))]
            if mission.terms.deadline_s:
                letters.append(wake("deadline", mail.now_ns + mission.terms.deadline_s * SECOND_NS))
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
            return move(_without_reason(desk), "its account is open"), []
        case m.Opened() if desk.slotless:
            return on_slot(desk)
        case m.Queued(slots=slots) if desk.stage == "opening" or desk.slotless:
            return on_queued(desk, slots), []
        case m.Reply() as reply if desk.stage == "planning" and not desk.owed:
            return on_plan(desk, mail, reply), []
        case m.Result() as result if is_current(desk, mail, result):
            return on_result(desk, mail, result), []
        case m.Raised() as raised:
            return on_raised(desk, raised)
        case m.Frozen() as frozen:
            return on_frozen(desk, mail, frozen), []
        case m.Approved() | m.Rejected() | m.Expired() as word:
            return _on_word(desk, word), []
        case m.Mission():
            return desk, [declined("this mission was given before")]
        case m.Opened() | m.Queued() | m.Reply() | m.Result():
            return desk, []  # late or repeated: another mail has moved the mission on
        case other:
            raise ValueError(f"the COO has no rule for {type(other).__name__}")


def _on_word(desk: Desk, word: m.Approved | m.Rejected | m.Expired) -> Desk:
    """Take what the gate says of a raise or of the release; of what is not asked for now it says nothing."""
    of_raise = bool(desk.asks_raise) and word.digest == desk.asks_raise
    of_release = desk.stage == "releasing" and word.digest == desk.digest
    match word:
        case m.Rejected(note=note) if of_raise:
            return not_raised(desk, f"the CEO rejected the raise: {note or 'no reason given'}")
        case m.Expired() if of_raise:
            return msgspec.structs.replace(desk, reason="nobody decided on the raise in time")
        case m.Approved() if of_release:
            return move(desk, "released by the CEO")
        case m.Rejected(note=note) if of_release:
            why = f"the CEO rejected the release: {note or 'no reason given'}"
            return end(desk, "not released by the CEO", why)
        case m.Expired() if of_release:
            return msgspec.structs.replace(desk, reason="nobody decided on the release in time")
    return desk


def _without_reason(desk: Desk) -> Desk:
    return desk if desk.paused else msgspec.structs.replace(desk, reason="", fix="")


def _on_control(desk: Desk, control: m.Control) -> tuple[Desk, list[Letter]]:
    match control.action:
        case "cancel":
            return end(desk, "the CEO cancels it", control.reason or "the CEO cancelled it"), []
        case "pause" if not desk.paused and desk.stage != "releasing":
            return pause(desk, "the CEO pauses it", control.reason or "the CEO paused it", "coo resume"), []
        case "resume" if desk.paused:
            return resume(msgspec.structs.replace(desk, mails=0), "the CEO resumes it")
    return desk, [declined(f"{control.action} changes nothing: the mission is {desk.state}")]


def _on_error(desk: Desk, error: Error) -> Desk:
    why = f"{error.mailbox} could not handle message {error.seq}: {error.reason}: {error.detail}"
    fix = "coo dlq ls; coo dlq show and replay; then coo resume, or coo cancel"
    return pause(desk, "an error", why, fix) if (desk.paused, "an error") in PAUSES else desk


def _on_tick(desk: Desk, tick: m.Tick) -> tuple[Desk, list[Letter]]:
    if tick.name == "deadline":
        return end(desk, "its deadline", "deadline: the time given for the mission is over"), []
    if tick.name == "new_period" and tick.at_ns == desk.new_period_ns and desk.paused == "paused_budget":
        return resume(desk, "a new day or month")
    waiting = desk.paused or desk.stage == "releasing"
    if tick.name == "park" and tick.at_ns == desk.park_ns and waiting and not desk.slotless:
        return msgspec.structs.replace(desk, slotless=True), [Letter(to="budget", message=m.Park())]
    if tick.name == "pause" and tick.at_ns == desk.pause_ends_ns and waiting:
        return end(desk, "nobody resumed it", f"paused_timeout: nobody resumed it ({desk.reason})"), []
    return desk, []


# -- letters --------------------------------------------------------------------------------------------


def _drive(desk: Desk) -> tuple[Desk, list[Letter]]:
    """Send what the stage owes, unless the mission is paused or over."""
    if not desk.owed or desk.paused or desk.final or (desk.slotless and desk.stage != "finishing"):
        return desk, []
    assert desk.mission is not None
    sent = msgspec.structs.replace(desk, owed=False, retry_of="")
    match owed_in(desk.stage):
        case "call":
            return sent, [Letter(to="model-coo", message=plan_call(desk), retry_of=desk.retry_of)]
        case "task":
            return with_job(sent, state="executing"), [
                Letter(to="engineer", message=task_for(desk, "engineer"))
            ]
        case "review":
            return with_job(sent, state="reviewing"), [Letter(to="qa", message=task_for(desk, "qa"))]
        case "request":
            return sent, [Letter(to="approval", message=release_request(desk))]
        case "close":
            return end(desk, "its end is told"), []
        case owed:
            raise ValueError(f"{owed} is not sent in the course of a mission")


ROLE: Role[Desk] = Role(
    name="coo", version=5, state=Desk, handle=handle, is_over=lambda desk: bool(desk.final)
)
