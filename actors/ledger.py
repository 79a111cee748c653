"""The guard's books: accounts, holds and the queue of those that wait. Pure arithmetic on integers.

A hold counts on the accounts of its mission, its day and its month (UTC, of the grant), or on none of them.
Posted plus pending never passes a limit; only a bill above its hold can, and that is booked in full.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Literal, NamedTuple

import msgspec

from actors import messages as m
from actors.money import MOST_MICROUSD

SECOND_NS = 1_000_000_000
LONGEST_S = 86_400
"""No hold lasts and none waits longer than a day."""

Status = Literal["held", "sent", "settled", "voided", "released", "in_doubt", "refused"]


class Hold(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One attempt at a call. `microusd` counts now: what is held, and once it is over what it cost.

    `asked` is the order as it came and `held` what was granted, so that the same order again gets the same
    answer and another one under the same id is refused. None asked: it was billed without a hold.
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


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """What was spent and what is held; both count against the limit."""

    posted: int = 0
    pending: int = 0


class MissionAccount(msgspec.Struct, frozen=True, kw_only=True):
    """A mission's money. `open` are the holds that still bind money, `over` all others.

    `frozen` says why nothing more is granted. `asked_raises` counts those that the company asked for.
    """

    cap: int
    account: Account = Account()
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
    """A reserve that fits beside what is posted, but not beside what is held."""

    mission: str
    by: str
    order: m.Reserve
    until_ns: int


class Ledger(msgspec.Struct, frozen=True, kw_only=True):
    """The guard's state. `closed` names the missions that are dropped, with the month of that."""

    limits: m.Limits | None = None
    missions: dict[str, MissionAccount] = {}
    days: dict[str, Account] = {}
    months: dict[str, Account] = {}
    waiting: tuple[Waiting, ...] = ()
    closed: dict[str, str] = {}
    next_expiry_ns: int = 0
    ticking: bool = False

    def mission(self, name: str, account: MissionAccount) -> Ledger:
        """Return these books with another account of a mission."""
        return msgspec.structs.replace(self, missions={**self.missions, name: account})


class Limit(NamedTuple):
    """One limit that a hold must fit under, and the key of what shares it."""

    scope: str
    key: str
    limit: int
    account: Account


def period(now_ns: int) -> tuple[str, str]:
    """Return the UTC day and month of a log time, as 2026-11-22 and 2026-11."""
    day = datetime.fromtimestamp(now_ns // SECOND_NS, UTC).strftime("%Y-%m-%d")
    return day, day[:7]


def is_amount(microusd: int) -> bool:
    """Say whether a number can be an amount of money at all."""
    return 0 <= microusd <= MOST_MICROUSD


# -- what fits ------------------------------------------------------------------------------------------


def least(order: m.Reserve) -> int:
    """Return the smallest grant that an order takes."""
    return order.floor or order.microusd


def limits_on(ledger: Ledger, mission: str, now_ns: int) -> Iterator[Limit]:
    """Yield every limit on a mission's next hold. The mission is open and there are limits."""
    assert ledger.limits is not None
    account, (day, month) = ledger.missions[mission], period(now_ns)
    yield Limit("mission", mission, account.cap, account.account)
    yield Limit("day", day, ledger.limits.day_microusd, ledger.days.get(day, Account()))
    yield Limit("month", month, ledger.limits.month_microusd, ledger.months.get(month, Account()))


def refusal(ledger: Ledger, mission: str, order: m.Reserve, now_ns: int) -> m.Refusal | None:
    """Say why an order can have no money, however long it waited: which limit, needed, remaining."""
    account, needed = ledger.missions.get(mission), least(order)
    if not (is_amount(order.microusd) and 0 < needed <= order.microusd and 0 < order.timeout_s <= LONGEST_S):
        return m.Refusal(scope="amount", needed_microusd=needed, remaining_microusd=0)
    if account is None or account.closing:
        return m.Refusal(scope="mission_not_open", needed_microusd=needed, remaining_microusd=0)
    if account.frozen:
        return m.Refusal(scope=account.frozen, needed_microusd=needed, remaining_microusd=0)
    if ledger.limits is None:
        return m.Refusal(scope="no_limits", needed_microusd=needed, remaining_microusd=0)
    for scope, _, limit, booked in limits_on(ledger, mission, now_ns):
        remaining = limit - booked.posted
        if needed > remaining:
            return m.Refusal(scope=scope, needed_microusd=needed, remaining_microusd=max(0, remaining))
    return None


def room(ledger: Ledger, mission: str, now_ns: int, ahead: dict[str, int]) -> tuple[int, str]:
    """Return how much fits now, and which limit says so; `ahead` is what earlier ones wait for, by key."""
    return min(
        (limit - booked.posted - booked.pending - ahead.get(f"{scope}/{key}", 0), scope)
        for scope, key, limit, booked in limits_on(ledger, mission, now_ns)
    )


def claim(ledger: Ledger, waiting: Waiting, now_ns: int, ahead: dict[str, int]) -> None:
    """Add what one waits for to what those behind it must leave, at each limit that they share."""
    for scope, key, _, _ in limits_on(ledger, waiting.mission, now_ns):
        name = f"{scope}/{key}"
        ahead[name] = ahead.get(name, 0) + least(waiting.order)


# -- booking --------------------------------------------------------------------------------------------


def book(ledger: Ledger, name: str, attempt: str, hold: Hold, *, posted: int, pending: int) -> Ledger:
    """Change a hold and all its accounts in one step."""

    def changed(account: Account) -> Account:
        return Account(posted=account.posted + posted, pending=account.pending + pending)

    mission = ledger.missions[name]
    is_open, was_open = hold.status in ("held", "sent"), attempt in mission.open
    opened, over = mission.open, mission.over
    if is_open or was_open:
        opened = {**opened, attempt: hold}
    if not is_open:
        opened.pop(attempt, None)
        over = {**over, attempt: hold}
    mission = msgspec.structs.replace(mission, account=changed(mission.account), open=opened, over=over)
    return msgspec.structs.replace(
        ledger,
        missions={**ledger.missions, name: mission},
        days={**ledger.days, hold.day: changed(ledger.days.get(hold.day, Account()))},
        months={**ledger.months, hold.month: changed(ledger.months.get(hold.month, Account()))},
    )


def note(ledger: Ledger, name: str, attempt: str, hold: Hold) -> Ledger:
    """Keep a hold that moves no money: one that was refused, or that changed in words only."""
    mission = ledger.missions[name]
    if hold.status in ("held", "sent"):
        return ledger.mission(name, msgspec.structs.replace(mission, open={**mission.open, attempt: hold}))
    return ledger.mission(name, msgspec.structs.replace(mission, over={**mission.over, attempt: hold}))


def doubt(ledger: Ledger, name: str, change: int) -> Ledger:
    """Change how much of what a mission spent is in doubt."""
    mission = ledger.missions[name]
    return ledger.mission(name, msgspec.structs.replace(mission, in_doubt=mission.in_doubt + change))


def freeze(ledger: Ledger, name: str, why: str) -> Ledger:
    """Grant a mission nothing more until the CEO raises its cap."""
    return ledger.mission(name, msgspec.structs.replace(ledger.missions[name], frozen=why))


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
        released = msgspec.structs.replace(hold, status="released", microusd=0)
        return book(ledger, name, attempt, released, posted=0, pending=-hold.microusd)
    doubtful = msgspec.structs.replace(hold, status="in_doubt")
    ledger = doubt(ledger, name, hold.microusd)
    return book(ledger, name, attempt, doubtful, posted=hold.microusd, pending=-hold.microusd)


def next_expiry_ns(ledger: Ledger) -> int:
    """Return when the next hold or the next wait is over, 0 if nothing is."""
    holds = (hold.expires_ns for mission in ledger.missions.values() for hold in mission.open.values())
    waits = (waiting.until_ns for waiting in ledger.waiting)
    return min([*holds, *waits], default=0)
