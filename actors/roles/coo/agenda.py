"""The changes that a mission goes through. Pure; what is sent is the role's."""

from __future__ import annotations

import msgspec

from actors import messages as m
from actors.days import SECOND_NS, next_begin_ns
from actors.money import usd
from actors.roles.coo import raising, states
from actors.roles.coo.orders import open_order
from actors.roles.coo.standing import Desk
from bus.envelope import Letter, Mail

RAISED, FROZEN = "the cap is raised", "a bill froze it"


def move(desk: Desk, event: str) -> Desk:
    """Go on to the stage that an event leads to; what it owes is sent when the mission is not paused."""
    return msgspec.structs.replace(desk, stage=states.moved(desk.stage, event), owed=True, retry_of="")


def with_job(desk: Desk, **changes: object) -> Desk:
    job = msgspec.structs.replace(desk.jobs[desk.current], **changes)
    return msgspec.structs.replace(
        desk, jobs=(*desk.jobs[: desk.current], job, *desk.jobs[desk.current + 1 :])
    )


def pause(desk: Desk, event: str, why: str, fix: str) -> Desk:
    how = states.paused(desk.paused, event)
    return msgspec.structs.replace(desk, paused=how, reason=why, fix=fix, pauses=desk.pauses + 1)


def out_of_money(desk: Desk, mail: Mail, refusal: m.Refusal | None) -> Desk:
    """Pause for want of money, and ask for a raise if the cap is what is in the way and the terms say so."""
    if refusal is None:
        return pause(desk, "no money", "no money", f"coo budget raise {mail.mission} +USD")
    fix = raising.fix(refusal, mail.mission, desk.terms.on_new_day)
    desk = msgspec.structs.replace(pause(desk, "no money", raising.reason(refusal), fix), refusal=refusal)
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


def not_raised(desk: Desk, why: str) -> Desk:
    """Stay paused, and ask no more."""
    return msgspec.structs.replace(
        desk, reason=why, fix="", asks_raise="", raise_microusd=0, asked_raises=raising.MAX_RAISES
    )


def on_raised(desk: Desk, raised: m.Raised) -> tuple[Desk, list[Letter]]:
    """Go on with the new cap, unless it was another limit that is in the way."""
    if not raised.applied:
        return not_raised(desk, "the guard raises no more for the company: raise it yourself"), []
    desk = msgspec.structs.replace(desk, cap=raised.cap_microusd)
    other = desk.refusal is not None and desk.refusal.scope in ("day", "month", "no_limits")
    return resume(desk, RAISED) if (desk.paused, RAISED) in states.PAUSES and not other else (desk, [])


def on_frozen(desk: Desk, mail: Mail, frozen: m.Frozen) -> Desk:
    cost, held = usd(frozen.cost_microusd), usd(frozen.held_microusd)
    booked = "that cannot be its bill: the hold is booked" if frozen.doubted else "all of it is booked"
    why = f"{frozen.reason}: a call was billed at ${cost}, ${held} were held for it; {booked}"
    fix = f"look: coo budget ledger {mail.mission}; then coo budget raise {mail.mission} +USD, or coo cancel"
    return pause(desk, FROZEN, why, fix) if (desk.paused, FROZEN) in states.PAUSES else desk


def timed(desk: Desk, now_ns: int) -> Desk:
    """Note when a pause that begins now ends by itself; 0 is never.

    It fails when nobody resumed it, gives its slot back before, and one that waits for a day or month limit
    may go on when the next begins.
    """
    terms = desk.terms
    scope = desk.refusal.scope if desk.refusal and desk.paused == "paused_budget" else ""
    new_period_ns = 0
    if scope in ("day", "month") and terms.on_new_day == "resume":
        new_period_ns = next_begin_ns("day" if scope == "day" else "month", now_ns)
    return msgspec.structs.replace(
        desk,
        pause_ends_ns=now_ns + terms.pause_timeout_s * SECOND_NS,
        park_ns=now_ns + terms.park_after_s * SECOND_NS if terms.park_after_s else 0,
        new_period_ns=new_period_ns,
    )


def resume(desk: Desk, event: str) -> tuple[Desk, list[Letter]]:
    """Go on, or ask for a slot first if the mission gave its own back."""
    how = states.paused(desk.paused, event)
    desk = msgspec.structs.replace(
        unhindered(desk), paused=how, refusal=None, asks_raise="", raise_microusd=0
    )
    if desk.stage == "releasing":
        desk = msgspec.structs.replace(desk, pauses=desk.pauses + 1)  # now it waits for another word
    return (desk, [Letter(to="budget", message=open_order(desk))]) if desk.slotless else (desk, _go_on())


def on_slot(desk: Desk) -> tuple[Desk, list[Letter]]:
    """Have a slot again; paused meanwhile, the mission goes on when it is resumed."""
    desk = msgspec.structs.replace(desk, slotless=False)
    if desk.paused:
        return desk, []
    return unhindered(desk), _go_on()


def unhindered(desk: Desk) -> Desk:
    """Forget what the mission was waiting for; one that is to be released waits for the CEO."""
    reason = "waiting for the CEO to release it" if desk.stage == "releasing" else ""
    return msgspec.structs.replace(desk, reason=reason, fix="")


def on_queued(desk: Desk, slots: int) -> Desk:
    if desk.paused:
        return desk
    why = f"all slots ({slots}) are taken: it waits until another mission ends or is paused for long"
    return msgspec.structs.replace(desk, reason=why, fix="limits.slots in the settings says how many")


def _go_on() -> list[Letter]:
    return [Letter(to=role, message=m.GoOn()) for role in ("engineer", "qa")]


def end(desk: Desk, event: str, why: str = "") -> Desk:
    return msgspec.structs.replace(
        desk,
        final=states.ended(desk.stage, event),
        stage="over",
        paused="",
        reason=why,
        fix="",
        refusal=None,
        owed=False,
        asks_raise="",
    )


def without_end(desk: Desk, letters: list[Letter]) -> tuple[Desk, list[Letter]]:
    """Pause a mission that has had as many messages as it may; end it if they go on coming all the same."""
    why = f"{desk.mails} messages: the mission does not come to an end"
    kept = [letter for letter in letters if not isinstance(letter.message, m.GoOn)]
    if desk.mails >= 2 * desk.terms.max_messages:
        return end(desk, "too many messages", why), kept
    if desk.paused:
        return desk, letters
    return pause(desk, "too many messages", why, "coo cancel it, or coo resume it"), kept
