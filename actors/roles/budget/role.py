"""The budget guard: a pure ledger. It never spends, it only says what may be spent.

    reserve ──> waiting ──> held ──sent──> sent ──settle──> settled
        │          │        │  │            ├──void──────> voided
        └──────────┴> refused  └──void──> voided
                            └ expires: released           └ expires: in_doubt (posted at the worst case)
                                                             in_doubt ──settle──> settled (corrected once)

A hold touches the accounts of its mission, its day and its month, or none of them. One that does not fit
beside what is spent is refused with the numbers; one that does not fit only because of what is held waits,
in order at every limit, until its deadline, `void` or `close`. What was never asked for, or costs more than
its hold, is booked on the mission in full and freezes it; day and month take no more of it than was held
until the CEO raises the cap to cover it. A figure that cannot be the bill leaves the attempt in doubt at its
hold. A mission is worked on while it has a slot. Sends
`granted` and `refused` to whoever reserved, `opened`, `queued`, `raised` and `frozen` to the COO, and `wake`
to the clock while anything is held or waits.
"""

from __future__ import annotations

from msgspec.structs import replace

from actors import messages as m
from actors.days import SECOND_NS
from actors.roles.budget import slots, waiting
from actors.roles.budget.billing import leave_queue, own_hold, settle
from actors.roles.budget.ledger import (
    Ledger,
    accept,
    book,
    expire,
    is_amount,
    next_expiry_ns,
    period,
)
from bus.envelope import Letter, Mail
from bus.fold import Role, Step
from bus.subjects import COMPANY

TICK_S = 60
"""The longest time between ticks while anything is held; every mail to the guard also moves its time."""

MAX_ASKED_RAISES = 3
"""How often the company may ask to raise one mission's cap; the CEO raises it as often as they like."""

MOST_CLOSED = 10_000
"""Names of missions that are over, so that nothing of them is booked again."""


def handle(ledger: Ledger, mail: Mail) -> Step:
    """Decide one mail. Holds whose time is over by the log's clock are resolved first."""
    before, expired = ledger, expire(ledger, mail.now_ns)
    fresh = None
    if isinstance(mail.message, m.Reserve):
        ledger, (fresh, letters) = expired, waiting.reserve(expired, mail, mail.message)
    else:
        ledger, letters = _event(expired, mail)
    ledger, answers = waiting.serve(before, expired, ledger, mail, fresh)
    ledger, forget = _drop_closed(ledger, mail)
    ledger, opened = slots.serve(ledger)
    return _ticking(ledger, mail, [*letters, *answers, *opened], forget)


def _event(ledger: Ledger, mail: Mail) -> tuple[Ledger, list[Letter]]:
    match mail.message:
        case m.Limits() as limits:
            return replace(ledger, limits=limits), []
        case m.Open() as order:
            return slots.ask(ledger, mail.mission, order)
        case m.Park():
            return slots.park(ledger, mail.mission), []
        case m.Sent() as fact:
            return _sent(ledger, mail, fact), []
        case m.Settle() as fact:
            return settle(ledger, mail, fact)
        case m.Void() as fact:
            return _void(ledger, mail, fact), []
        case m.Raise() as order:
            return _raise(ledger, mail.mission, order)
        case m.Close():
            return _close(ledger, mail.mission), []
        case m.Tick():
            return replace(ledger, ticking=False), []
        case other:
            raise ValueError(f"the guard has no rule for {type(other).__name__}")


def _ticking(ledger: Ledger, mail: Mail, letters: list[Letter], forget: list[str]) -> Step:
    expiry_ns = next_expiry_ns(ledger, waiting.earliest_ns(ledger))
    ledger = replace(ledger, next_expiry_ns=expiry_ns)
    if expiry_ns and not ledger.ticking:
        at_ns = min(max(expiry_ns, mail.now_ns + SECOND_NS), mail.now_ns + TICK_S * SECOND_NS)
        letters.append(Letter(to="clock", mission=COMPANY, message=m.Wake(name="expiry", at_ns=at_ns)))
        ledger = replace(ledger, ticking=True)
    return Step(ledger, letters, forget)


# -- missions -----------------------------------------------------------------------------------------


def _raise(ledger: Ledger, name: str, order: m.Raise) -> tuple[Ledger, list[Letter]]:
    """Raise a mission's caps, once a digest; what the CEO decides anew also lifts a freeze."""
    mission = ledger.missions.get(name)
    if mission is None or order.digest in mission.raises:
        return ledger, []
    too_often = order.asked and mission.asked_raises >= MAX_ASKED_RAISES
    amounts = (order.microusd, mission.cap + order.microusd, *order.tokens.values())
    applied = all(map(is_amount, amounts)) and not too_often
    if applied:
        mission = replace(
            mission,
            cap=mission.cap + order.microusd,
            terms=_more_tokens(mission.terms, order),
            frozen="",
            asked_raises=mission.asked_raises + order.asked,
            raises=(*mission.raises, order.digest),
        )
    ledger = ledger.mission(name, mission)
    told = m.Raised(digest=order.digest, cap_microusd=mission.cap, applied=applied)
    return accept(ledger, name) if applied else ledger, [Letter(to="coo", message=told)]


def _more_tokens(terms: m.Open | None, order: m.Raise) -> m.Open | None:
    """Raise the caps on tokens that there are; a role without a cap needs none."""
    if terms is None:
        return None
    caps = {
        mailbox: cap + order.tokens.get(mailbox.removeprefix("model-"), 0)
        for mailbox, cap in terms.role_tokens.items()
    }
    return replace(terms, role_tokens=caps)


def _close(ledger: Ledger, name: str) -> Ledger:
    mission = ledger.missions.get(name)
    if mission is None:
        return ledger
    return slots.leave(ledger.mission(name, replace(mission, closing=True)), name)


def _drop_closed(ledger: Ledger, mail: Mail) -> tuple[Ledger, list[str]]:
    """Forget missions that are over, and the mail of one that nothing is known of.

    The names of the last ones stay for a month or two: nothing of them is booked again.
    """
    gone = [name for name, mission in ledger.missions.items() if mission.closing and mission.is_over]
    if not gone:
        return ledger, _unknown(ledger, mail.mission)
    _, month = period(mail.now_ns)
    recent = sorted({*ledger.closed.values(), month})[-2:]
    closed = {name: when for name, when in ledger.closed.items() if when in recent}
    closed = dict(list({**closed, **dict.fromkeys(gone, month)}.items())[-MOST_CLOSED:])
    missions = {name: mission for name, mission in ledger.missions.items() if name not in gone}
    ledger = replace(ledger, missions=missions, closed=closed)
    return ledger, [*gone, *_unknown(ledger, mail.mission)]


def _unknown(ledger: Ledger, name: str) -> list[str]:
    return [] if name in ledger.missions or name == COMPANY else [name]


# -- what became of a hold ----------------------------------------------------------------------------


def _sent(ledger: Ledger, mail: Mail, fact: m.Sent) -> Ledger:
    hold = own_hold(ledger, mail, fact.attempt)
    if hold is None or hold.status != "held":
        return ledger
    return book(ledger, mail.mission, fact.attempt, replace(hold, status="sent", nonce=fact.nonce))


def _void(ledger: Ledger, mail: Mail, fact: m.Void) -> Ledger:
    """Give a hold back, or leave the queue. What was sent is only voided by the process that sent it."""
    asked = waiting.find(ledger, mail.mission, fact.attempt)
    if asked is not None and asked.by == mail.sender:
        return leave_queue(ledger, mail.mission, fact.attempt)
    hold = own_hold(ledger, mail, fact.attempt)
    if hold is None or hold.status not in ("held", "sent"):
        return ledger
    if hold.status == "sent" and hold.nonce != fact.nonce:
        return ledger
    voided = replace(hold, status="voided", microusd=0, tokens=0)
    return book(ledger, mail.mission, fact.attempt, voided)


ROLE: Role[Ledger] = Role(name="budget", version=4, state=Ledger, handle=handle)
