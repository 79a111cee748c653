"""What the desk's books are made of: entries, holds and balances, in integer micro-dollars."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

Status = Literal["held", "sent", "settled", "voided", "released", "in_doubt"]


class Entry(NamedTuple):
    """One line of the ledger: what moved for an attempt, and what it did to posted and pending.

    `aside` is what of `posted` moved the mission alone and neither day nor month.
    """

    seq: int
    time_ns: int
    mission: str
    attempt: str
    by: str
    what: str
    posted: int
    pending: int
    day: str
    aside: int = 0


@dataclass
class Hold:
    """One attempt, as the log tells it. `held` is what was granted, `now` what it binds or cost.

    `tokens` are those that it binds or took. `aside` is what of `now` is on no day and month.
    """

    by: str
    day: str
    held: int
    now: int
    expires_ns: int
    tokens: int = 0
    status: Status = "held"
    nonce: str = ""
    aside: int = 0


@dataclass
class Balance:
    """Micro-dollars (or tokens) on one account, and the most that posted and pending ever were together.

    Of the limit `kept` is the margin that is not granted.
    """

    posted: int = 0
    pending: int = 0
    in_doubt: int = 0
    peak: int = 0
    limit: int | None = None
    kept: int = 0

    def bound(self, limit: int | None, percent: int) -> None:
        """Set the limit, and the margin that is kept of it, rounded up."""
        self.limit = limit
        self.kept = (limit * percent + 99) // 100 if limit is not None else 0

    def move(self, posted: int, pending: int) -> None:
        self.posted += posted
        self.pending += pending
        self.peak = max(self.peak, self.posted + self.pending)
