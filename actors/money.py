"""Money: integer micro-dollars, and what people write and read of it. Never a float."""

from __future__ import annotations

import re

MICRO = 1_000_000
PICO_PER_MICRO = 1_000_000
MOST_MICROUSD = 10**15
"""A thousand million dollars: more is a typing error, and all sums stay far from 64 bits."""

_AMOUNT = re.compile(r"([0-9]+)(?:\.([0-9]+))?")


class NotAnAmount(ValueError):
    """What was written is not an amount of US dollars."""


def parse_usd(text: str) -> int:
    """Read US dollars as a person writes them ("2", "2.00", "0.000001") and return micro-dollars.

    Raises:
        NotAnAmount: no decimal number, negative, NaN, infinite, or with more than six decimals.
    """
    match = _AMOUNT.fullmatch(text.strip())
    if match is None:
        raise NotAnAmount(f"{text[:80]} is not an amount. Write 2.00 (US dollars).")
    whole, fraction = match[1], (match[2] or "").rstrip("0")
    if len(fraction) > 6:
        raise NotAnAmount(f"{text[:80]} is finer than a micro-dollar. Write at most six decimals.")
    if len(whole.lstrip("0")) > 9:
        raise NotAnAmount(f"{text[:80]} is more than COO keeps accounts for.")
    return int(whole) * MICRO + int(fraction.ljust(6, "0"))


def usd(microusd: int) -> str:
    """Write micro-dollars as exact US dollars, with at least two decimals."""
    whole, fraction = divmod(abs(microusd), MICRO)
    digits = f"{fraction:06d}"
    digits = digits[:2] + digits[2:].rstrip("0")
    return f"{'-' if microusd < 0 else ''}{whole}.{digits}"


def cost_microusd(tokens_and_prices: list[tuple[int, int]]) -> int:
    """Return what tokens cost, given pairs of (tokens, pico-dollars a token), rounded up."""
    pico = sum(tokens * price for tokens, price in tokens_and_prices)
    return -(-pico // PICO_PER_MICRO)
