"""The budget guard: a pure ledger. It never spends, it only says what may be spent.

    reserve ──> held ──sent──> sent ──settle──> settled
                 │  │            ├──void──────> voided
                 │  └──void──> voided
                 └ expires: released           └ expires: in_doubt (posted at the worst case)
                                                  in_doubt ──settle──> settled (corrected once)

A hold touches the accounts of its mission, its day and its month (UTC, of the grant), or none of them.
Posted plus pending never passes a limit; a hold that does not fit is refused with the numbers. Sends
`granted` and `refused` to whoever reserved, `opened` to the COO, and asks the clock for one tick a minute
while anything is held.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Literal

import msgspec

from actors import messages as m
from bus.envelope import Letter, Mail
from bus.fold import Role, Step
from bus.subjects import COMPANY

TICK_S = 60
"""A coarse tick is enough: every mail to the guard also moves its time."""

_SECOND_NS = 1_000_000_000


class Hold(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt at a call. `microusd` is what is held, and once it is over what it cost."""

    by: str
    microusd: int
    day: str
    month: str
    expires_ns: int
    status: Literal["held", "sent", "settled", "voided", "released", "in_doubt"] = "held"
    nonce: str = ""
    corrected: bool = False


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """What was spent and what is held; both count against the limit."""

    posted: int = 0
    pending: int = 0


class MissionAccount(msgspec.Struct, frozen=True, kw_only=True):
    cap: int
    account: Account = Account()
    holds: dict[str, Hold] = {}
    in_doubt: int = 0
    frozen: str = ""
    closing: bool = False


class Ledger(msgspec.Struct, frozen=True, kw_only=True):
    """The guard's state."""

    limits: m.Limits | None = None
    missions: dict[str, MissionAccount] = {}
    days: dict[str, Account] = {}
    months: dict[str, Account] = {}
    next_expiry_ns: int = 0
    ticking: bool = False


def handle(ledger: Ledger, mail: Mail) -> Step:
    """Decide one mail. Holds whose time is over by the log's clock are resolved first."""
    ledger = _expire(ledger, mail.now_ns)
    letters: list[Letter] = []
    match mail.message:
        case m.Limits() as limits:
            ledger = msgspec.structs.replace(ledger, limits=limits)
        case m.Open() as order:
            ledger = _open(ledger, mail.mission, order)
            letters.append(Letter(to="coo", message=m.Opened()))
        case m.Reserve() as order:
            ledger, answer = _reserve(ledger, mail, order)
            letters.append(Letter(to=mail.sender, message=answer))
        case m.Sent() as fact:
            ledger = _sent(ledger, mail, fact)
        case m.Settle() as fact:
            ledger = _settle(ledger, mail, fact)
        case m.Void() as fact:
            ledger = _void(ledger, mail, fact)
        case m.Close():
            ledger = _close(ledger, mail.mission)
        case m.Tick():
            ledger = msgspec.structs.replace(ledger, ticking=False)
        case other:
            raise ValueError(f"the guard has no rule for {type(other).__name__}")
    forget = [name for name, mission in ledger.missions.items() if _is_over(mission)]
    if forget:
        kept = {name: mission for name, mission in ledger.missions.items() if name not in forget}
        ledger = msgspec.structs.replace(ledger, missions=kept)
    return _ticking(ledger, mail, letters, forget)


def _ticking(ledger: Ledger, mail: Mail, letters: list[Letter], forget: list[str]) -> Step:
    if ledger.next_expiry_ns and not ledger.ticking:
        wake = m.Wake(name="expiry", at_ns=mail.now_ns + TICK_S * _SECOND_NS)
        letters.append(Letter(to="clock", mission=COMPANY, message=wake))
        ledger = msgspec.structs.replace(ledger, ticking=True)
    return Step(ledger, letters, forget)


def _open(ledger: Ledger, name: str, order: m.Open) -> Ledger:
    if name in ledger.missions:
        return ledger
    mission = MissionAccount(cap=max(0, order.cap_microusd))
    return msgspec.structs.replace(ledger, missions={**ledger.missions, name: mission})


# -- holding ------------------------------------------------------------------------------------------


def _reserve(ledger: Ledger, mail: Mail, order: m.Reserve) -> tuple[Ledger, m.Granted | m.Refused]:
    mission = ledger.missions.get(mail.mission)
    hold = mission.holds.get(order.attempt) if mission else None
    if hold is not None:
        return ledger, _again(hold, mail, order)
    refusal = _refusal(ledger, mission, order, mail.now_ns)
    if refusal is not None or mission is None:
        refusal = refusal or m.Refusal(scope="mission", needed_microusd=order.microusd, remaining_microusd=0)
        return ledger, m.Refused(attempt=order.attempt, refusal=refusal)
    day, month = period(mail.now_ns)
    hold = Hold(
        by=mail.sender,
        microusd=order.microusd,
        day=day,
        month=month,
        expires_ns=mail.now_ns + max(1, order.timeout_s) * _SECOND_NS,
    )
    ledger = _book(ledger, mail.mission, order.attempt, hold, posted=0, pending=hold.microusd)
    granted = m.Granted(attempt=order.attempt, microusd=hold.microusd, expires_ns=hold.expires_ns)
    return ledger, granted


def _again(hold: Hold, mail: Mail, order: m.Reserve) -> m.Granted | m.Refused:
    """Answer a second reserve of one attempt: the same answer, or a refusal if it is another order."""
    if hold.by == mail.sender and hold.microusd == order.microusd and hold.status in ("held", "sent"):
        return m.Granted(attempt=order.attempt, microusd=hold.microusd, expires_ns=hold.expires_ns)
    refusal = m.Refusal(scope="id_conflict", needed_microusd=order.microusd, remaining_microusd=0)
    return m.Refused(attempt=order.attempt, refusal=refusal)


def _refusal(
    ledger: Ledger, mission: MissionAccount | None, order: m.Reserve, now_ns: int
) -> m.Refusal | None:
    """Name the first limit that an amount does not fit into, or nothing if it fits into all."""
    needed = order.microusd
    if needed <= 0:
        return m.Refusal(scope="amount", needed_microusd=needed, remaining_microusd=0)
    if mission is None or mission.closing or mission.frozen:
        scope = mission.frozen if mission and mission.frozen else "mission_not_open"
        return m.Refusal(scope=scope, needed_microusd=needed, remaining_microusd=0)
    if ledger.limits is None:
        return m.Refusal(scope="no_limits", needed_microusd=needed, remaining_microusd=0)
    day, month = period(now_ns)
    for scope, limit, account in (
        ("mission", mission.cap, mission.account),
        ("day", ledger.limits.day_microusd, ledger.days.get(day, Account())),
        ("month", ledger.limits.month_microusd, ledger.months.get(month, Account())),
    ):
        remaining = limit - account.posted - account.pending
        if needed > remaining:
            return m.Refusal(scope=scope, needed_microusd=needed, remaining_microusd=max(0, remaining))
    return None


def period(now_ns: int) -> tuple[str, str]:
    """Return the UTC day and month of a log time, as 2026-11-22 and 2026-11."""
    day = datetime.fromtimestamp(now_ns // _SECOND_NS, UTC).strftime("%Y-%m-%d")
    return day, day[:7]


# -- what became of a hold ----------------------------------------------------------------------------


def _sent(ledger: Ledger, mail: Mail, fact: m.Sent) -> Ledger:
    hold = _hold_of(ledger, mail, fact.attempt)
    if hold is None or hold.status != "held":
        return ledger
    changed = msgspec.structs.replace(hold, status="sent", nonce=fact.nonce)
    return _book(ledger, mail.mission, fact.attempt, changed, posted=0, pending=0)


def _settle(ledger: Ledger, mail: Mail, fact: m.Settle) -> Ledger:
    cost = max(0, fact.microusd)
    hold = _hold_of(ledger, mail, fact.attempt)
    if hold is None or hold.status in ("voided", "released"):
        return _book_unheld(ledger, mail, fact, cost)
    if hold.status == "settled" or hold.corrected:
        return ledger
    settled = msgspec.structs.replace(hold, status="settled", microusd=cost)
    if hold.status == "in_doubt":
        settled = msgspec.structs.replace(settled, corrected=True)
        ledger = _doubt(ledger, mail.mission, -hold.microusd)
        booked = _book(ledger, mail.mission, fact.attempt, settled, posted=cost - hold.microusd, pending=0)
    else:
        booked = _book(ledger, mail.mission, fact.attempt, settled, posted=cost, pending=-hold.microusd)
    return _freeze(booked, mail.mission, "overrun") if cost > hold.microusd else booked


def _book_unheld(ledger: Ledger, mail: Mail, fact: m.Settle, cost: int) -> Ledger:
    """Book a settlement that no hold covers in full, and freeze the mission: money left unasked."""
    day, month = period(mail.now_ns)
    mission = ledger.missions.get(mail.mission)
    if mission is None:
        raise ValueError(f"{mail.mission} has no account: never opened, or closed and settled")
    known = mission.holds.get(fact.attempt)
    if known is not None and known.by != mail.sender:
        return _freeze(ledger, mail.mission, "settled_by_another")
    hold = Hold(by=mail.sender, microusd=cost, day=day, month=month, expires_ns=0, status="settled")
    ledger = _book(ledger, mail.mission, fact.attempt, hold, posted=cost, pending=0)
    return _freeze(ledger, mail.mission, "unheld_settlement")


def _void(ledger: Ledger, mail: Mail, fact: m.Void) -> Ledger:
    hold = _hold_of(ledger, mail, fact.attempt)
    if hold is None or hold.status not in ("held", "sent"):
        return ledger
    voided = msgspec.structs.replace(hold, status="voided", microusd=0)
    return _book(ledger, mail.mission, fact.attempt, voided, posted=0, pending=-hold.microusd)


def _hold_of(ledger: Ledger, mail: Mail, attempt: str) -> Hold | None:
    """Return the sender's own hold; nobody touches another's."""
    mission = ledger.missions.get(mail.mission)
    hold = mission.holds.get(attempt) if mission else None
    return hold if hold is not None and hold.by == mail.sender else None


def _expire(ledger: Ledger, now_ns: int) -> Ledger:
    if not ledger.next_expiry_ns or now_ns < ledger.next_expiry_ns:
        return ledger
    for name, mission in ledger.missions.items():
        for attempt, hold in mission.holds.items():
            if hold.status in ("held", "sent") and hold.expires_ns <= now_ns:
                ledger = _expire_one(ledger, name, attempt, hold)
    return ledger


def _expire_one(ledger: Ledger, name: str, attempt: str, hold: Hold) -> Ledger:
    if hold.status == "held":
        released = msgspec.structs.replace(hold, status="released", microusd=0)
        return _book(ledger, name, attempt, released, posted=0, pending=-hold.microusd)
    doubtful = msgspec.structs.replace(hold, status="in_doubt")
    ledger = _doubt(ledger, name, hold.microusd)
    return _book(ledger, name, attempt, doubtful, posted=hold.microusd, pending=-hold.microusd)


# -- booking ------------------------------------------------------------------------------------------


def _book(ledger: Ledger, name: str, attempt: str, hold: Hold, *, posted: int, pending: int) -> Ledger:
    """Change a hold and all its accounts in one step."""

    def changed(account: Account) -> Account:
        return Account(posted=account.posted + posted, pending=account.pending + pending)

    mission = ledger.missions[name]
    mission = msgspec.structs.replace(
        mission, account=changed(mission.account), holds={**mission.holds, attempt: hold}
    )
    missions = {**ledger.missions, name: mission}
    return msgspec.structs.replace(
        ledger,
        missions=missions,
        days={**ledger.days, hold.day: changed(ledger.days.get(hold.day, Account()))},
        months={**ledger.months, hold.month: changed(ledger.months.get(hold.month, Account()))},
        next_expiry_ns=_next_expiry(missions),
    )


def _next_expiry(missions: dict[str, MissionAccount]) -> int:
    open_holds = (
        hold.expires_ns
        for mission in missions.values()
        if mission.account.pending
        for hold in mission.holds.values()
        if hold.status in ("held", "sent")
    )
    return min(open_holds, default=0)


def _doubt(ledger: Ledger, name: str, change: int) -> Ledger:
    mission = ledger.missions[name]
    return _replace_mission(
        ledger, name, msgspec.structs.replace(mission, in_doubt=mission.in_doubt + change)
    )


def _freeze(ledger: Ledger, name: str, why: str) -> Ledger:
    return _replace_mission(ledger, name, msgspec.structs.replace(ledger.missions[name], frozen=why))


def _close(ledger: Ledger, name: str) -> Ledger:
    mission = ledger.missions.get(name)
    if mission is None:
        return ledger
    return _replace_mission(ledger, name, msgspec.structs.replace(mission, closing=True))


def _replace_mission(ledger: Ledger, name: str, mission: MissionAccount) -> Ledger:
    return msgspec.structs.replace(ledger, missions={**ledger.missions, name: mission})


def _is_over(mission: MissionAccount) -> bool:
    """Say whether nothing more can be booked for a mission; what is in doubt may still be corrected."""
    pending = ("held", "sent", "in_doubt")
    return mission.closing and not any(hold.status in pending for hold in mission.holds.values())


ROLE: Role[Ledger] = Role(name="budget", version=1, state=Ledger, handle=handle)
