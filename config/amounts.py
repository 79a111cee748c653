"""Amounts of money as people write them, turned into integers without ever being a float."""

from __future__ import annotations

import re
from decimal import Decimal

MILLION = 1_000_000
MOST_USD = 10**9
"""A thousand million dollars: more is a typing error, and all sums stay far from 64 bits."""

_AMOUNT = re.compile(r"([0-9]+)(?:\.([0-9]+))?", re.ASCII)


class NotAnAmount(ValueError):
    """What was written is not an amount of US dollars; the text says what to write."""


def microusd(text: str) -> int:
    """Return US dollars as a person writes them ("2", "2.00", "0.000001") as micro-dollars, exactly.

    Raises:
        NotAnAmount: no plain decimal number (a sign, NaN, an exponent, a comma), one finer than six decimals,
            or one above `MOST_USD`.
    """
    match = _AMOUNT.fullmatch(text.strip())
    if match is None:
        raise NotAnAmount(f"{text[:80]} is not an amount. Write 2.00 (US dollars, at most 6 decimals).")
    whole, fraction = match[1].lstrip("0"), (match[2] or "").rstrip("0")
    if len(fraction) > 6:
        raise NotAnAmount(f"{text[:80]} is finer than a micro-dollar. Write at most 6 decimals.")
    digits = whole + fraction.ljust(6, "0")
    if len(digits) > 16 or int(digits) > MOST_USD * MILLION:
        raise NotAnAmount(f"{text[:80]} is more than COO keeps accounts for.")
    return int(digits)


def picousd_per_token(usd_per_mtok: str) -> int:
    """Return a price in US dollars per million tokens as pico-dollars per token: "0.30" is 300_000.

    One dollar per million tokens is 1e-6 dollars per token, which is 1_000_000 pico-dollars: the same
    factor as for `microusd`, and as exact.

    Raises:
        NotAnAmount: as `microusd`.
    """
    return microusd(usd_per_mtok)


def amount_text(value: object) -> str:
    """Return `value`, as a settings file gives it, as the exact decimal text it was written as.

    Raises:
        NotAnAmount: as `microusd`, or a binary float, which may already have lost the amount that was meant.
    """
    if isinstance(value, float):
        raise NotAnAmount('write the amount in quotes, as in "2.00": a float is not exact')
    if isinstance(value, bool) or not isinstance(value, str | int | Decimal):
        raise NotAnAmount("not an amount. Write 2.00 (US dollars, at most 6 decimals).")
    microusd(text := str(value))
    return text
