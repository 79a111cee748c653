"""Money: integer micro-dollars, and how they are shown. Never a float."""

from __future__ import annotations

MICRO = 1_000_000
PICO_PER_MICRO = 1_000_000
MOST_MICROUSD = 10**15
"""A thousand million dollars: more is a typing error, and all sums stay far from 64 bits."""


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
