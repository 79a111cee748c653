"""How long something takes, as people write it."""

from __future__ import annotations

import re

from actors.errors import Kind, UserError
from actors.plain import plain

_LONGEST_S = 366 * 86_400

_DURATION = re.compile(r"(?:(\d{1,9})d)?(?:(\d{1,9})h)?(?:(\d{1,9})m)?(?:(\d{1,9})s?)?", re.ASCII)

_SECONDS = (86_400, 3_600, 60, 1)


def read_duration(text: str, option: str) -> int:
    """Return seconds of a duration such as 90s, 30m, 2h or 1h30m; a bare number is seconds.

    Raises:
        UserError: it is none, or zero, or more than a year.
    """
    found = _DURATION.fullmatch(text.strip())
    seconds = sum(int(n) * unit for n, unit in zip(found.groups("0"), _SECONDS, strict=True)) if found else 0
    if not 0 < seconds <= _LONGEST_S:
        what = f"{option}: {plain(text, 40)} is not a duration."
        raise UserError(Kind.USAGE, what, "Write 90s, 30m, 2h or 1h30m.")
    return seconds
