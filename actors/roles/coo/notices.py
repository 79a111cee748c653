"""What the CEO and the others are told when a mission's state changes. Pure."""

from __future__ import annotations

from actors import messages as m
from actors.roles.coo.orders import raise_request
from actors.roles.coo.standing import Desk
from actors.table import TOLD_OF_THE_END
from bus.envelope import Letter, Mail


def _visible(desk: Desk) -> tuple[object, ...]:
    return desk.state, desk.jobs, desk.reason, desk.cap


def told(before: Desk, after: Desk, mail: Mail) -> list[Letter]:
    """Tell the CEO and the others of a new state."""
    letters: list[Letter] = []
    if _visible(before) == _visible(after):
        return letters
    letters.append(status(after, mail))
    if after.final:
        return letters + [Letter(to=name, message=m.Close(state=after.final)) for name in TOLD_OF_THE_END]
    if after.paused and not before.paused:
        hold = m.HoldWork(reason=after.reason)
        letters += [Letter(to=role, message=hold) for role in ("engineer", "qa")]
    if after.pauses > before.pauses:
        letters.append(wake("pause", after.pause_ends_ns))
        if after.park_ns:
            letters.append(wake("park", after.park_ns))
        if after.new_period_ns:
            letters.append(wake("new_period", after.new_period_ns))
    if after.asks_raise and after.asks_raise != before.asks_raise:
        letters.append(Letter(to="approval", message=raise_request(after)))
    return letters


def status(desk: Desk, mail: Mail) -> Letter:
    """Return the mission as it stands, at the mail that was just decided."""
    tasks = tuple(
        m.TaskStatus(title=job.plan.title, state=job.state, attempts=job.attempts) for job in desk.jobs
    )
    said = m.Status(
        state=desk.state,
        at=mail.seq,
        reason=desk.reason,
        fix=desk.fix,
        tasks=tasks,
        asks=desk.asks_raise or (desk.digest if desk.stage == "releasing" and not desk.owed else ""),
        refusal=desk.refusal,
        raise_microusd=desk.raise_microusd if desk.asks_raise else 0,
        cap_microusd=desk.cap,
        rank=desk.rank if desk.final == "completed" or desk.stage == "releasing" else "",
        deliverable=desk.files if desk.final == "completed" or desk.stage == "releasing" else {},
    )
    return Letter(to="ceo", message=said)


def wake(name: str, at_ns: int) -> Letter:
    """Ask the clock for a tick of this name."""
    return Letter(to="clock", message=m.Wake(name=name, at_ns=at_ns))


def declined(reason: str) -> Letter:
    """Tell the CEO why what they said changes nothing."""
    return Letter(to="ceo", message=m.Declined(reason=reason))
