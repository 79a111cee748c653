"""Times of the week, as price lists name them: `mon-fri 01:00-04:00`, in UTC."""

import re

_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_WINDOW = re.compile(
    r"(daily|(?P<first>[a-z]{3})(-(?P<last>[a-z]{3}))?) (?P<from>\d\d:[0-5]\d)-(?P<to>\d\d:[0-5]\d)"
)
_DAY = 24 * 60


def week_minutes(text: str) -> tuple[tuple[int, int], ...]:
    """Return a window on each of its days, as [start, end) in minutes since Monday 00:00.

    Raises:
        ValueError: not a window, a day that is none, or an end that is not after the start.
    """
    match = _WINDOW.fullmatch(text.strip().lower())
    days = _days(match["first"], match["last"]) if match else ()
    start, end = (_minutes(match["from"]), _minutes(match["to"])) if match else (0, 0)
    if not days or not 0 <= start < end <= _DAY:
        raise ValueError(f'"{text[:40]}" is not a window of time: write "mon-fri 01:00-04:00" (UTC)')
    return tuple((day * _DAY + start, day * _DAY + end) for day in days)


def _days(first: str | None, last: str | None) -> tuple[int, ...]:
    if first is None:
        return tuple(range(7))
    last = last or first
    if first not in _DAYS or last not in _DAYS:
        return ()
    count = (_DAYS.index(last) - _DAYS.index(first)) % 7 + 1
    return tuple((_DAYS.index(first) + n) % 7 for n in range(count))


def _minutes(text: str) -> int:
    hours, minutes = text.split(":")
    return int(hours) * 60 + int(minutes)
