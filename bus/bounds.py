"""Integers on the wire: every one has bounds in its type, and what is outside of them is bad mail."""

from __future__ import annotations

from typing import Annotated, Final

from msgspec import Meta

MOST: Final = 2**53 - 1
"""The greatest integer that every JSON reader has exactly: nine billion dollars in micro-dollars."""

Whole = Annotated[int, Meta(ge=0, le=MOST)]
"""A count, an amount, a size, a sequence, a version or a duration."""

Signed = Annotated[int, Meta(ge=-MOST, le=MOST)]
"""What may be below zero: what is left of a limit, a priority, an exit code."""

Nanos = Annotated[int, Meta(ge=0, le=2**63 - 1)]
"""A time of the log, in nanoseconds since 1970."""


def whole(text: str) -> int | None:
    """Read an integer from a header: digits alone, within the bounds; None if it is not one."""
    if not (text.isascii() and text.isdigit() and len(text) <= 16):
        return None
    number = int(text)
    return number if number <= MOST else None
