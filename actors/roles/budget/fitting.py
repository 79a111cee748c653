"""Whether a hold fits: the limits on it, what is left of each, and what those before it wait for. Pure.

Posted plus pending never passes a limit less its margin; only a bill above its hold can, and that is booked
in full. Tokens are held beside the money, all that were asked for or none.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from actors import messages as m
from actors.roles.budget.ledger import (
    MOST_TOKENS,
    Account,
    Ledger,
    MissionAccount,
    Waiting,
    is_amount,
    period,
)

LONGEST_S = 86_400
"""No hold lasts and none waits longer than a day."""


class Limit(NamedTuple):
    """One limit that a hold must fit under, the key of what shares it, and what the hold needs of it."""

    scope: str
    key: str
    limit: int
    account: Account
    needed: int

    @property
    def in_tokens(self) -> bool:
        return self.scope == "role_tokens"

    def refusal(self, remaining: int) -> m.Refusal:
        return _refusal(self.scope, self.needed, max(0, remaining), in_tokens=self.in_tokens)


def _refusal(scope: str, needed: int, remaining: int = 0, *, in_tokens: bool = False) -> m.Refusal:
    if in_tokens:
        return m.Refusal(
            scope=scope,
            needed_microusd=0,
            remaining_microusd=0,
            needed_tokens=needed,
            remaining_tokens=remaining,
        )
    return m.Refusal(scope=scope, needed_microusd=needed, remaining_microusd=remaining)


def least(order: m.Reserve) -> int:
    """Return the smallest grant that an order takes."""
    return order.floor or order.microusd


def less_margin(limit: int, percent: int) -> int:
    """Return what of a limit may be granted; the margin is rounded up, and no percentage raises a limit."""
    kept = -(-limit * min(max(percent, 0), 100) // 100)
    return limit - kept


def limits_on(ledger: Ledger, waiting: Waiting, now_ns: int) -> Iterator[Limit]:
    """Yield every limit on an order. Its mission is open and there are limits."""
    assert ledger.limits is not None
    name, order, (day, month) = waiting.mission, waiting.order, period(now_ns)
    mission, company, needed = ledger.missions[name], ledger.limits, least(order)
    margin = mission.terms.margin_percent if mission.terms else 0
    yield Limit("mission", name, less_margin(mission.cap, margin), mission.account, needed)
    of_day, of_month = ledger.days.get(day, Account()), ledger.months.get(month, Account())
    percent = company.margin_percent
    yield Limit("day", day, less_margin(company.day_microusd, percent), of_day, needed)
    yield Limit("month", month, less_margin(company.month_microusd, percent), of_month, needed)
    cap = mission.terms.role_tokens.get(waiting.by) if mission.terms else None
    if cap is not None:
        taken = mission.tokens.get(waiting.by, Account())
        yield Limit("role_tokens", f"{name}/{waiting.by}", cap, taken, order.tokens)


def refusal(ledger: Ledger, waiting: Waiting, now_ns: int) -> m.Refusal | None:
    """Say why an order can have no money, however long it waited: which limit, needed, remaining."""
    order, mission = waiting.order, ledger.missions.get(waiting.mission)
    needed = least(order)
    if not (is_amount(order.microusd) and 0 < needed <= order.microusd and 0 < order.timeout_s <= LONGEST_S):
        return _refusal("amount", needed)
    if mission is None or mission.closing or not mission.slot:
        return _refusal("mission_not_open", needed)
    if mission.frozen:
        return _refusal(mission.frozen, needed)
    if ledger.limits is None:
        return _refusal("no_limits", needed)
    if (over := _call_tokens(ledger.limits, mission, waiting)) is not None:
        return over
    for one in limits_on(ledger, waiting, now_ns):
        remaining = one.limit - one.account.posted
        if one.needed > remaining:
            return one.refusal(remaining)
    return None


def _call_tokens(limits: m.Limits, mission: MissionAccount, waiting: Waiting) -> m.Refusal | None:
    """Refuse an order above the cap of one call, or that says no tokens where tokens are counted."""
    terms, tokens = mission.terms, waiting.order.tokens
    caps = [limits.call_tokens, terms.call_tokens if terms else None]
    counted = terms is not None and waiting.by in terms.role_tokens
    most = min((cap for cap in caps if cap is not None), default=MOST_TOKENS)
    if tokens > most or tokens < 0 or (tokens == 0 and (counted or most < MOST_TOKENS)):
        return _refusal("call_tokens", tokens, max(0, most), in_tokens=True)
    return None


def mission_left(ledger: Ledger, name: str) -> int:
    """Return what a mission may spend beside what is posted; of one that is not there nothing."""
    mission = ledger.missions.get(name)
    if mission is None:
        return 0
    margin = mission.terms.margin_percent if mission.terms else 0
    return less_margin(mission.cap, margin) - mission.account.posted


def company_left(ledger: Ledger, now_ns: int) -> int:
    """Return what day and month have beside what is posted."""
    return min(limit - account.posted for limit, account in _of_company(ledger, now_ns))


def company_room(ledger: Ledger, now_ns: int) -> int:
    """Return what day and month have beside what is posted and held."""
    return min(limit - account.posted - account.pending for limit, account in _of_company(ledger, now_ns))


def _of_company(ledger: Ledger, now_ns: int) -> list[tuple[int, Account]]:
    limits, (day, month) = ledger.limits, period(now_ns)
    if limits is None:
        return [(0, Account())]
    return [
        (less_margin(limits.day_microusd, limits.margin_percent), ledger.days.get(day, Account())),
        (less_margin(limits.month_microusd, limits.margin_percent), ledger.months.get(month, Account())),
    ]
