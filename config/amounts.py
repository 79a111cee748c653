"""Amounts of money as people write them, turned into integers without ever being a float."""

import re
from decimal import Decimal

_AMOUNT = re.compile(r"[0-9]{1,12}(\.[0-9]{1,6})?", re.ASCII)
"""At most twelve digits before the point: the largest amount in micro-dollars still fits 64 bits."""

_MILLION = 1_000_000


def amount_text(value: object) -> str:
    """Return `value` as the exact decimal text it was written as.

    Raises:
        ValueError: not a plain decimal amount (a sign, NaN, an exponent, a comma, more than six decimals), or
            a binary float, which may already have lost the amount that was meant.
    """
    if isinstance(value, float):
        raise ValueError('write the amount in quotes, as in "2.00": a float is not exact')
    if isinstance(value, bool) or not isinstance(value, str | int | Decimal):
        raise ValueError("not an amount. Write 2.00 (US dollars, at most 6 decimals).")
    if not _AMOUNT.fullmatch(text := str(value)):
        raise ValueError(f"{text[:40]} is not an amount. Write 2.00 (US dollars, at most 6 decimals).")
    return text


def microusd(text: str) -> int:
    """Return an amount in US dollars as micro-dollars, exactly: "2.00" is 2_000_000.

    Raises:
        ValueError: as `amount_text`.
    """
    return int(Decimal(amount_text(text)) * _MILLION)


def picousd_per_token(usd_per_mtok: str) -> int:
    """Return a price in US dollars per million tokens as pico-dollars per token: "0.30" is 300_000.

    One dollar per million tokens is 1e-6 dollars per token, which is 1_000_000 pico-dollars: the same
    factor as for `microusd`, and as exact.

    Raises:
        ValueError: as `amount_text`.
    """
    return int(Decimal(amount_text(usd_per_mtok)) * _MILLION)
