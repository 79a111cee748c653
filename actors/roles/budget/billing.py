"""Bills: what an attempt cost is booked, in full and once, and none of it moves more than it may. Pure.

A bill up to its hold takes the hold's place. What is above it, or has no hold, is booked on the mission in
full, which is frozen; day and month are moved by what was held, and by the rest when the CEO has raised the
cap so far that it covers it: no single figure from outside can stop the other missions. Figures that cannot
be the bill leave the attempt in doubt at its hold.
"""

from __future__ import annotations

from typing import Literal

from msgspec.structs import replace

from actors import messages as m
from actors.roles.budget.ledger import (
    MOST_TOKENS,
    Hold,
    Ledger,
    MissionAccount,
    book,
    freeze,
    is_amount,
    period,
)
from bus.envelope import Letter, Mail

MOST_ATTEMPTS = 10_000
"""No mission has more attempts: they are kept until it is closed."""

Why = Literal["overrun", "unheld_settlement", "settled_by_another"]


class NotBooked(ValueError):
    """A bill that cannot be booked: no amount, or of a mission that is closed or has too many already."""


def settle(ledger: Ledger, mail: Mail, fact: m.Settle) -> tuple[Ledger, list[Letter]]:
    """Book a bill.

    Raises:
        NotBooked: it is not a bill of any mission's.
    """
    name, cost = mail.mission, fact.microusd
    if not is_amount(cost):
        raise NotBooked(f"{cost} micro-dollars is no amount: the hold stays, and its worst case is booked")
    if name in ledger.closed:
        raise NotBooked(f"{name} is closed: everything of it is booked")
    if name not in ledger.missions:
        ledger = ledger.mission(name, MissionAccount(cap=0, slot=False))
    hold = own_hold(ledger, mail, fact.attempt)
    if hold is None or hold.status in ("voided", "released", "refused"):
        return _book_unheld(ledger, mail, fact)
    if hold.status == "settled":
        return ledger, []
    if fact.doubt:
        booked = replace(hold, status="in_doubt")
    else:
        booked = replace(
            hold,
            status="settled",
            microusd=cost,
            aside=max(0, cost - hold.held),
            tokens=_tokens(fact),
            corrected=hold.status == "in_doubt",
        )
    ledger = book(ledger, name, fact.attempt, booked)
    return _frozen(ledger, name, fact, "overrun", hold.held) if cost > hold.held else (ledger, [])


def own_hold(ledger: Ledger, mail: Mail, attempt: str) -> Hold | None:
    """Return the sender's own hold; nobody touches another's."""
    mission = ledger.missions.get(mail.mission)
    hold = mission.hold(attempt) if mission else None
    return hold if hold is not None and hold.by == mail.sender else None


def _tokens(fact: m.Settle) -> int:
    return min(max(0, fact.input_tokens) + max(0, fact.output_tokens), MOST_TOKENS)


def _book_unheld(ledger: Ledger, mail: Mail, fact: m.Settle) -> tuple[Ledger, list[Letter]]:
    """Book a bill that no hold covers in full: money left that nobody asked for."""
    name, (day, month) = mail.mission, period(mail.now_ns)
    mission = ledger.missions[name]
    known = mission.hold(fact.attempt)
    if known is not None and known.by != mail.sender:
        return _frozen(ledger, name, fact, "settled_by_another", known.held)
    if known is None and len(mission.over) + len(mission.open) >= MOST_ATTEMPTS:
        raise NotBooked(f"{name} has {MOST_ATTEMPTS} attempts: a bill that nobody asked for is not booked")
    hold = Hold(
        by=mail.sender,
        microusd=fact.microusd,
        aside=fact.microusd,
        day=day,
        month=month,
        expires_ns=0,
        status="settled",
        tokens=_tokens(fact),
    )
    if known is not None:
        hold = replace(hold, asked=known.asked, held=known.held, expires_ns=known.expires_ns)
    ledger = leave_queue(ledger, name, fact.attempt)
    ledger = book(ledger, name, fact.attempt, hold)
    return _frozen(ledger, name, fact, "unheld_settlement", 0)


def _frozen(ledger: Ledger, name: str, fact: m.Settle, why: Why, held: int) -> tuple[Ledger, list[Letter]]:
    told = m.Frozen(
        reason=why,
        attempt=fact.attempt,
        held_microusd=held,
        cost_microusd=fact.microusd,
        doubted=fact.doubt != "" and why == "overrun",
    )
    return freeze(ledger, name, why), [Letter(to="coo", message=told)]


def leave_queue(ledger: Ledger, name: str, attempt: str) -> Ledger:
    """Let an attempt wait no more."""
    left = tuple(w for w in ledger.waiting if w.order.attempt != attempt or w.mission != name)
    return ledger if len(left) == len(ledger.waiting) else replace(ledger, waiting=left)
