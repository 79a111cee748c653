"""Money: integer micro-dollars, and what people write and read of it. Never a float."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation

MICRO = 1_000_000
PICO_PER_MICRO = 1_000_000
MOST_MICROUSD = 10**15
"""A thousand million dollars: more is a typing error, and all sums stay far from 64 bits."""


class NotAnAmount(ValueError):
    """What was written is not an amount of US dollars."""


def parse_usd(text: str) -> int:
    """Read US dollars as a person writes them ("2", "2.00", "0.000001") and return micro-dollars.

    Raises:
        NotAnAmount: no decimal number, negative, NaN, infinite, or with more than six decimals.
    """
    try:
        amount = Decimal(text.strip())
    except InvalidOperation as error:
        raise NotAnAmount(f"{text} is not an amount. Write 2.00 (US dollars).") from error
    if not amount.is_finite() or amount < 0:
        raise NotAnAmount(f"{text} is not an amount. Write 2.00 (US dollars).")
    micro = amount * MICRO
    if micro != micro.to_integral_value():
        raise NotAnAmount(f"{text} is finer than a micro-dollar. Write at most six decimals.")
    if micro > MOST_MICROUSD:
        raise NotAnAmount(f"{text} is more than COO keeps accounts for.")
    return int(micro)


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
