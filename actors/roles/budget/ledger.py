"""The guard's books: accounts, holds and those that wait. Pure arithmetic on integers.

A hold counts on the accounts of its mission, its day and its month (UTC, of the grant), and its tokens on
that of its holder in the mission, or on none of them. What it counts follows from its status alone.
"""

from __future__ import annotations

from typing import Literal

import msgspec
from msgspec.structs import replace

from actors import messages as m
from actors.days import day_of
from actors.money import MOST_MICROUSD

MOST_TOKENS = 10**12
Measure = Literal["microusd", "company", "tokens"]
Status = Literal["held", "sent", "settled", "voided", "released", "in_doubt", "refused"]


class Hold(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One attempt at a call. `microusd` and `tokens` count now: what is held, once it is over what it took.

    `asked` is the order as it came and `held` what was granted, so that the same order again gets the same
    answer and another one under the same id is refused. None asked: it was billed without a hold. `aside` is
    what of `microusd` is above the hold: it counts on the mission, and on day and month once the CEO has
    raised the mission's cap so far that it covers what was billed.
    """

    by: str
    microusd: int
    day: str
    month: str
    expires_ns: int
    held: int = 0
    limited_by: str = ""
    status: Status = "held"
    asked: m.Reserve | None = None
    refusal: m.Refusal | None = None
    nonce: str = ""
    corrected: bool = False
    tokens: int = 0
    aside: int = 0

    @property
    def is_open(self) -> bool:
        return self.status in ("held", "sent")

    @property
    def is_posted(self) -> bool:
        return self.status in ("settled", "in_doubt")


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """What was spent and what is held; both count against the limit."""

    posted: int = 0
    pending: int = 0


class MissionAccount(msgspec.Struct, frozen=True, kw_only=True):
    """A mission's money. `open` are the holds that still bind money, `over` all others.

    `terms` is the order that opened it, with the caps on tokens as they are now. `tokens` has an account a
    holder, in tokens. `slot` says whether it is being worked on. `frozen` says why nothing more is granted.
    `asked_raises` counts those that the company asked for.
    """

    cap: int
    terms: m.Open | None = None
    slot: bool = True
    account: Account = Account()
    tokens: dict[str, Account] = {}
    open: dict[str, Hold] = {}
    over: dict[str, Hold] = {}
    in_doubt: int = 0
    frozen: str = ""
    closing: bool = False
    asked_raises: int = 0
    raises: tuple[str, ...] = ()

    @property
    def holds(self) -> dict[str, Hold]:
        return {**self.over, **self.open}

    def hold(self, attempt: str) -> Hold | None:
        return self.open.get(attempt) or self.over.get(attempt)

    @property
    def is_over(self) -> bool:
        """Whether nothing more can be booked; what is in doubt may still be corrected."""
        return self.closing and not self.open and not self.in_doubt


class Waiting(msgspec.Struct, frozen=True, kw_only=True):
    """A reserve that fits beside what is posted, but not beside what is held.

    `blocked_by` is the limit that it waits for, "" before it was looked at.
    """

    mission: str
    by: str
    order: m.Reserve
    until_ns: int
    blocked_by: str = ""


class Ledger(msgspec.Struct, frozen=True, kw_only=True):
    """The guard's state. `closed` names the missions that are dropped, with the month of that.

    `waiting` are the reserves that wait for money, `queue` the missions that wait for a slot.
    """

    limits: m.Limits | None = None
    missions: dict[str, MissionAccount] = {}
    days: dict[str, Account] = {}
    months: dict[str, Account] = {}
    waiting: tuple[Waiting, ...] = ()
    queue: tuple[str, ...] = ()
    closed: dict[str, str] = {}
    next_expiry_ns: int = 0
    ticking: bool = False

    def mission(self, name: str, account: MissionAccount) -> Ledger:
        """Return these books with another account of a mission."""
        return replace(self, missions={**self.missions, name: account})


def period(now_ns: int) -> tuple[str, str]:
    """Return the UTC day and month of a log time, as 2026-11-22 and 2026-11."""
    day = day_of(now_ns)
    return day, day[:7]


def is_amount(microusd: int) -> bool:
    """Say whether a number can be an amount of money at all."""
    return 0 <= microusd <= MOST_MICROUSD


# -- booking --------------------------------------------------------------------------------------------


def book(ledger: Ledger, name: str, attempt: str, hold: Hold) -> Ledger:
    """Put a hold in the place of what it was, and move all its accounts by the difference, in one step.

    Raises:
        AssertionError: the books do not add up any more; nothing is booked, and the mail is a dead letter.
    """
    mission = ledger.missions[name]
    before = mission.hold(attempt)
    opened, over = mission.open, mission.over
    if hold.is_open or (before is not None and before.is_open):
        opened = {**opened, attempt: hold}
    if not hold.is_open:
        opened.pop(attempt, None)
        over = {**over, attempt: hold}
    tokens = mission.tokens
    if hold.tokens or (before is not None and before.tokens):
        tokens = {**tokens, hold.by: _moved(tokens.get(hold.by, Account()), before, hold, "tokens")}
    moved = _moved(mission.account, before, hold, "microusd")
    mission = replace(mission, account=moved, open=opened, over=over, tokens=tokens)
    mission = replace(mission, in_doubt=mission.in_doubt + _doubtful(hold) - _doubtful(before))
    days, months = ledger.days, ledger.months
    if _counts(hold, "company") != _counts(before, "company"):
        day, month = days.get(hold.day, Account()), months.get(hold.month, Account())
        days = {**days, hold.day: _moved(day, before, hold, "company")}
        months = {**months, hold.month: _moved(month, before, hold, "company")}
    for account in (moved, days.get(hold.day, moved), months.get(hold.month, moved)):
        assert account.posted >= 0, f"{name}: {account.posted} posted after {attempt}"
        assert account.pending >= 0, f"{name}: {account.pending} pending after {attempt}"
    held = sum(one.microusd for one in opened.values())
    assert moved.pending == held, f"{name}: {moved.pending} pending, holds of {held} after {attempt}"
    return replace(ledger, missions={**ledger.missions, name: mission}, days=days, months=months)


def _moved(account: Account, before: Hold | None, after: Hold, of: Measure) -> Account:
    (posted, pending), (was_posted, was_pending) = _counts(after, of), _counts(before, of)
    return Account(
        posted=account.posted + posted - was_posted, pending=account.pending + pending - was_pending
    )


def _counts(hold: Hold | None, of: Measure) -> tuple[int, int]:
    """Return what a hold counts as posted and as pending; `company` is on its day and its month."""
    if hold is None or not (hold.is_open or hold.is_posted):
        return 0, 0
    amount = hold.tokens if of == "tokens" else hold.microusd
    if of == "company":
        amount -= hold.aside
    return (0, amount) if hold.is_open else (amount, 0)


def _doubtful(hold: Hold | None) -> int:
    return hold.microusd if hold is not None and hold.status == "in_doubt" else 0


def freeze(ledger: Ledger, name: str, why: str) -> Ledger:
    """Grant a mission nothing more until the CEO raises its cap."""
    return ledger.mission(name, replace(ledger.missions[name], frozen=why))


def accept(ledger: Ledger, name: str) -> Ledger:
    """Count on day and month what was billed above its hold, once a raised cap covers it."""
    mission = ledger.missions[name]
    if mission.account.posted <= mission.cap:
        for attempt, hold in mission.over.items():
            if hold.aside:
                ledger = book(ledger, name, attempt, replace(hold, aside=0))
    return ledger


def expire(ledger: Ledger, now_ns: int) -> Ledger:
    """Resolve the holds whose time is over: released if never sent, else posted in full and in doubt."""
    if not ledger.next_expiry_ns or now_ns < ledger.next_expiry_ns:
        return ledger
    for name, mission in ledger.missions.items():
        for attempt, hold in mission.open.items():
            if hold.expires_ns <= now_ns:
                ledger = _expire_one(ledger, name, attempt, hold)
    return ledger


def _expire_one(ledger: Ledger, name: str, attempt: str, hold: Hold) -> Ledger:
    if hold.status == "held":
        return book(ledger, name, attempt, replace(hold, status="released", microusd=0, tokens=0))
    return book(ledger, name, attempt, replace(hold, status="in_doubt"))


def next_expiry_ns(ledger: Ledger, waiting_until_ns: int) -> int:
    """Return when the next hold or the next wait is over, 0 if nothing is held and nobody waits."""
    times = [hold.expires_ns for mission in ledger.missions.values() for hold in mission.open.values()]
    if ledger.waiting:
        times.append(waiting_until_ns)
    return min(times, default=0)
