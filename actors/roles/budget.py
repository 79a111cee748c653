"""The budget guard: a pure ledger. It never spends, it only says what may be spent.

    reserve ──> waiting ──> held ──sent──> sent ──settle──> settled
        │          │        │  │            ├──void──────> voided
        └──────────┴> refused  └──void──> voided
                            └ expires: released           └ expires: in_doubt (posted at the worst case)
                                                             in_doubt ──settle──> settled (corrected once)

A hold touches the accounts of its mission, its day and its month, or none of them. One that does not fit
beside what is spent is refused with the numbers; one that does not fit only because of what is held waits,
in order at every limit, until its deadline, `void` or `close`. What was never asked for, or costs more than
its hold, is booked in full and freezes the mission. A mission is worked on while it has a slot. Sends
`granted` and `refused` to whoever reserved, `opened`, `queued`, `raised` and `frozen` to the COO, and `wake`
to the clock while anything is held or waits.
"""

from __future__ import annotations

from typing import Literal

from msgspec.structs import replace

from actors import messages as m
from actors import slots
from actors.fitting import claim, least, refusal, room
from actors.ledger import (
    SECOND_NS,
    Hold,
    Ledger,
    MissionAccount,
    Waiting,
    book,
    expire,
    freeze,
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


Why = Literal["overrun", "unheld_settlement", "settled_by_another"]


class NotBooked(ValueError):
    """A bill that cannot be booked: no amount, or of a mission that is closed and dropped."""


def handle(ledger: Ledger, mail: Mail) -> Step:
    """Decide one mail. Holds whose time is over by the log's clock are resolved first."""
    ledger = expire(ledger, mail.now_ns)
    ledger, letters = _event(ledger, mail)
    ledger, answers = _serve_waiting(ledger, mail.now_ns)
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
        case m.Reserve() as order:
            return _reserve(ledger, mail, order)
        case m.Sent() as fact:
            return _sent(ledger, mail, fact), []
        case m.Settle() as fact:
            return _settle(ledger, mail, fact)
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
    expiry_ns = next_expiry_ns(ledger)
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
    told = m.Raised(digest=order.digest, cap_microusd=mission.cap, applied=applied)
    return ledger.mission(name, mission), [Letter(to="coo", message=told)]


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


# -- holding ------------------------------------------------------------------------------------------


def _reserve(ledger: Ledger, mail: Mail, order: m.Reserve) -> tuple[Ledger, list[Letter]]:
    """Answer a reserve at once if it is settled what to say; else put it behind those that wait."""
    mission = ledger.missions.get(mail.mission)
    known = mission.hold(order.attempt) if mission else None
    asked = next((w for w in ledger.waiting if _is_of(w, mail.mission, order.attempt)), None)
    if known is None and asked is None:
        until_ns = mail.now_ns + max(0, order.wait_s) * SECOND_NS
        waiting = Waiting(mission=mail.mission, by=mail.sender, order=order, until_ns=until_ns)
        return replace(ledger, waiting=(*ledger.waiting, waiting)), []
    by, before = (known.by, known.asked) if known else (asked.by, asked.order) if asked else ("", None)
    if by != mail.sender or before != order:
        conflict = m.Refusal(scope="id_conflict", needed_microusd=order.microusd, remaining_microusd=0)
        refused = m.Refused(attempt=order.attempt, refusal=conflict)
        return ledger, [Letter(to=mail.sender, message=refused)]
    return ledger, [Letter(to=mail.sender, message=_answer(order, known))] if known else []


def _is_of(waiting: Waiting, mission: str, attempt: str) -> bool:
    return waiting.mission == mission and waiting.order.attempt == attempt


def _answer(order: m.Reserve, hold: Hold) -> m.Granted | m.Refused:
    if hold.refusal is not None:
        return m.Refused(attempt=order.attempt, refusal=hold.refusal)
    return m.Granted(
        attempt=order.attempt,
        microusd=hold.held,
        expires_ns=hold.expires_ns,
        limited_by=hold.limited_by,
    )


def _serve_waiting(ledger: Ledger, now_ns: int) -> tuple[Ledger, list[Letter]]:
    """Go through the queue in order: grant what fits, refuse what cannot or waited too long."""
    if not ledger.waiting:
        return ledger, []
    queue, kept, ahead, letters = ledger.waiting, [], dict[str, int](), list[Letter]()
    for waiting in queue:
        hold = _decide(ledger, waiting, now_ns, ahead)
        if hold is None:
            claim(ledger, waiting, now_ns, ahead)
            kept.append(waiting)
            continue
        name, attempt = waiting.mission, waiting.order.attempt
        if name in ledger.missions:
            ledger = book(ledger, name, attempt, hold)
        letters.append(Letter(to=waiting.by, mission=name, message=_answer(waiting.order, hold)))
    return replace(ledger, waiting=tuple(kept)), letters


def _decide(ledger: Ledger, waiting: Waiting, now_ns: int, ahead: dict[str, int]) -> Hold | None:
    """Return what becomes of one that waits, or nothing while it goes on waiting."""
    order, (day, month) = waiting.order, period(now_ns)
    hold = Hold(by=waiting.by, microusd=0, day=day, month=month, expires_ns=0, asked=order)
    refused = refusal(ledger, waiting, now_ns)
    if refused is None:
        free, tightest = room(ledger, waiting, now_ns, ahead)
        if free >= least(order):
            granted = min(order.microusd, free)
            return replace(
                hold,
                microusd=granted,
                held=granted,
                tokens=order.tokens,
                limited_by=tightest.scope if granted < order.microusd else "",
                expires_ns=now_ns + order.timeout_s * SECOND_NS,
            )
        if now_ns < waiting.until_ns:
            return None
        account = tightest.account
        refused = tightest.refusal(tightest.limit - account.posted - account.pending)
    return replace(hold, status="refused", refusal=refused)


# -- what became of a hold ----------------------------------------------------------------------------


def _sent(ledger: Ledger, mail: Mail, fact: m.Sent) -> Ledger:
    hold = _hold_of(ledger, mail, fact.attempt)
    if hold is None or hold.status != "held":
        return ledger
    return book(ledger, mail.mission, fact.attempt, replace(hold, status="sent", nonce=fact.nonce))


def _settle(ledger: Ledger, mail: Mail, fact: m.Settle) -> tuple[Ledger, list[Letter]]:
    name, cost = mail.mission, fact.microusd
    if not is_amount(cost):
        raise NotBooked(f"{cost} micro-dollars is no amount: the hold stays, and its worst case is booked")
    if name in ledger.closed:
        raise NotBooked(f"{name} is closed: everything of it is booked")
    hold = _hold_of(ledger, mail, fact.attempt)
    if hold is None or hold.status in ("voided", "released", "refused"):
        return _book_unheld(ledger, mail, fact)
    if hold.status == "settled":
        return ledger, []
    doubtful = hold.status == "in_doubt"
    settled = replace(hold, status="settled", microusd=cost, tokens=_tokens(fact), corrected=doubtful)
    ledger = book(ledger, name, fact.attempt, settled)
    return _frozen(ledger, name, fact, "overrun", hold.held) if cost > hold.held else (ledger, [])


def _tokens(fact: m.Settle) -> int:
    return max(0, fact.input_tokens) + max(0, fact.output_tokens)


def _book_unheld(ledger: Ledger, mail: Mail, fact: m.Settle) -> tuple[Ledger, list[Letter]]:
    """Book a bill that no hold covers in full: money left that nobody asked for."""
    day, month = period(mail.now_ns)
    name = mail.mission
    if name not in ledger.missions:
        ledger = ledger.mission(name, MissionAccount(cap=0, slot=False))
    known = ledger.missions[name].hold(fact.attempt)
    if known is not None and known.by != mail.sender:
        return _frozen(ledger, name, fact, "settled_by_another", known.held)
    cost = fact.microusd
    hold = Hold(
        by=mail.sender,
        microusd=cost,
        day=day,
        month=month,
        expires_ns=0,
        status="settled",
        tokens=_tokens(fact),
    )
    if known is not None:
        hold = replace(hold, asked=known.asked, held=known.held, expires_ns=known.expires_ns)
    ledger = _leave_queue(ledger, name, fact.attempt)
    ledger = book(ledger, name, fact.attempt, hold)
    return _frozen(ledger, name, fact, "unheld_settlement", 0)


def _frozen(ledger: Ledger, name: str, fact: m.Settle, why: Why, held: int) -> tuple[Ledger, list[Letter]]:
    told = m.Frozen(reason=why, attempt=fact.attempt, held_microusd=held, cost_microusd=fact.microusd)
    return freeze(ledger, name, why), [Letter(to="coo", message=told)]


def _leave_queue(ledger: Ledger, name: str, attempt: str) -> Ledger:
    left = tuple(waiting for waiting in ledger.waiting if not _is_of(waiting, name, attempt))
    return replace(ledger, waiting=left)


def _void(ledger: Ledger, mail: Mail, fact: m.Void) -> Ledger:
    """Give a hold back, or leave the queue. What was sent is only voided by the process that sent it."""
    if any(_is_of(w, mail.mission, fact.attempt) and w.by == mail.sender for w in ledger.waiting):
        return _leave_queue(ledger, mail.mission, fact.attempt)
    hold = _hold_of(ledger, mail, fact.attempt)
    if hold is None or hold.status not in ("held", "sent"):
        return ledger
    if hold.status == "sent" and hold.nonce != fact.nonce:
        return ledger
    voided = replace(hold, status="voided", microusd=0, tokens=0)
    return book(ledger, mail.mission, fact.attempt, voided)


def _hold_of(ledger: Ledger, mail: Mail, attempt: str) -> Hold | None:
    """Return the sender's own hold; nobody touches another's."""
    mission = ledger.missions.get(mail.mission)
    hold = mission.hold(attempt) if mission else None
    return hold if hold is not None and hold.by == mail.sender else None


ROLE: Role[Ledger] = Role(name="budget", version=4, state=Ledger, handle=handle)
