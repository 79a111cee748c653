"""Days and months as budgets count them: in UTC, by the time of the log."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Literal

SECOND_NS = 1_000_000_000

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def day_of(time_ns: int) -> str:
    """Return the UTC day of a log time, as 2026-11-22; its first seven characters are the month."""
    return datetime.fromtimestamp(time_ns // SECOND_NS, UTC).strftime("%Y-%m-%d")


def next_begin_ns(scope: Literal["day", "month"], now_ns: int) -> int:
    """Return when the UTC day or month after a log time begins, in nanoseconds since 1970."""
    now = datetime.fromtimestamp(now_ns // SECOND_NS, UTC)
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    later = midnight + timedelta(days=1) if scope == "day" else midnight.replace(day=1) + timedelta(days=32)
    begin = later if scope == "day" else later.replace(day=1)
    return (begin - _EPOCH) // timedelta(seconds=1) * SECOND_NS
