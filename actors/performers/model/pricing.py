"""From tokens and prices to amounts: what a call can cost at most, what a grant pays for, what it came to."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from actors.money import PICO_PER_MICRO, cost_microusd
from actors.performers.model.bill import Bill, Grant
from bus.structured import structlog

if TYPE_CHECKING:
    from actors.performers.model.catalog import ModelTerms, PeakTerms

log = structlog.get_logger("actors")

_MINUTE_NS = 60 * 10**9
_WEEK = 7 * 24 * 60
_THURSDAY = 3 * 24 * 60


@dataclass(frozen=True)
class Completion:
    """A provider's answer, with the tokens that it counted, and its own figure of the cost if it gave one.

    With a `failure` it is not an answer, but a bill all the same. `cut`: it ended at the bound of its tokens.
    `doubt` says why the figures cannot be the bill.
    """

    text: str
    input_tokens: int
    output_tokens: int
    cached_tokens: int = 0
    microusd: int | None = None
    failure: str = ""
    cut: bool = False
    doubt: str = ""


def worst_of(terms: ModelTerms, input_tokens: int, output_tokens: int) -> int:
    """Return what a call can cost at most, whatever the provider has cached, and whenever it is made."""
    dearest_input, dearest_output = _dearest(terms)
    return cost_microusd([(input_tokens, dearest_input), (output_tokens, dearest_output)])


def affordable(terms: ModelTerms, input_tokens: int, microusd: int) -> int:
    """Return how many tokens of answer a grant pays for beside the prompt."""
    dearest_input, dearest_output = _dearest(terms)
    left = microusd * PICO_PER_MICRO - input_tokens * dearest_input
    return max(1, left // dearest_output)


def _dearest(terms: ModelTerms) -> tuple[int, int]:
    rates: list[ModelTerms | PeakTerms] = [terms, terms.peak] if terms.peak else [terms]
    return (
        max(max(r.input_picousd_per_token, r.cache_hit_picousd_per_token or 0) for r in rates),
        max(r.output_picousd_per_token for r in rates),
    )


def bill_of(terms: ModelTerms, answer: Completion, began_ns: int, ended_ns: int) -> Bill:
    """Book the provider's own figure if it gave one, else the tokens at our prices.

    `began_ns` and `ended_ns` (nanoseconds since 1970) say when it was: at the prices of peak hours if any of
    the call lies in them. Holidays, on which a provider may ask less, are booked as other days.
    """
    cost = answer.microusd
    if cost is None:
        at_peak = terms.peak is not None and _touches(terms.peak.minutes, began_ns, ended_ns)
        rates: ModelTerms | PeakTerms = terms.peak if at_peak and terms.peak else terms
        hit = rates.cache_hit_picousd_per_token
        cached = answer.cached_tokens if hit is not None else 0
        cost = cost_microusd(
            [
                (answer.input_tokens - cached, rates.input_picousd_per_token),
                (cached, hit or 0),
                (answer.output_tokens, rates.output_picousd_per_token),
            ]
        )
    return Bill(cost, answer.input_tokens, answer.output_tokens)


def booked(bill: Bill, answer: Completion, grant: Grant) -> Bill:
    """Return what is booked: the bill, or the hold where that cannot be the bill.

    What the provider states as its cost is booked in full if it is more.
    """
    if not answer.doubt or (answer.microusd or 0) > grant.microusd:
        return bill
    log.warning("bill.doubted", attempt=grant.attempt, why=answer.doubt)
    return replace(bill, microusd=max(bill.microusd, grant.microusd), doubt=answer.doubt)


def _touches(windows: tuple[tuple[int, int], ...], began_ns: int, ended_ns: int) -> bool:
    """Say whether any minute from one time to another lies in a window of the week."""
    first, last = sorted((began_ns // _MINUTE_NS, ended_ns // _MINUTE_NS))
    start = (first + _THURSDAY) % _WEEK  # 1970 began on a Thursday
    end = start + last - first
    return any(begin <= end and start < stop for begin, stop in windows) or any(
        begin + _WEEK <= end for begin, _ in windows
    )
