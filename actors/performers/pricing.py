"""From tokens and prices to amounts: what a call can cost at most, what a grant pays for, what it came to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from actors.money import PICO_PER_MICRO, cost_microusd
from actors.performers.bill import Bill

if TYPE_CHECKING:
    from config.parts import ModelTerms


@dataclass(frozen=True)
class Completion:
    """A provider's answer, with the tokens that it counted, and its own figure of the cost if it gave one.

    With a `failure` it is no answer, but a bill all the same. `cut`: it ended at the bound of its tokens.
    """

    text: str
    input_tokens: int
    output_tokens: int
    cached_tokens: int = 0
    microusd: int | None = None
    failure: str = ""
    cut: bool = False


def worst_of(terms: ModelTerms, input_tokens: int, output_tokens: int) -> int:
    """Return what a call can cost at most, whatever the provider has cached."""
    dearest = max(terms.input_picousd_per_token, terms.cache_hit_picousd_per_token or 0)
    return cost_microusd([(input_tokens, dearest), (output_tokens, terms.output_picousd_per_token)])


def affordable(terms: ModelTerms, input_tokens: int, microusd: int) -> int:
    """Return how many tokens of answer a grant pays for beside the prompt."""
    left = microusd * PICO_PER_MICRO - input_tokens * max(
        terms.input_picousd_per_token, terms.cache_hit_picousd_per_token or 0
    )
    return max(1, left // terms.output_picousd_per_token)


def bill_of(terms: ModelTerms, answer: Completion) -> Bill:
    """Book the provider's own figure if it gave one, else the tokens at our prices."""
    cost = answer.microusd
    if cost is None:
        hit = terms.cache_hit_picousd_per_token
        cached = answer.cached_tokens if hit is not None else 0
        cost = cost_microusd(
            [
                (answer.input_tokens - cached, terms.input_picousd_per_token),
                (cached, hit or 0),
                (answer.output_tokens, terms.output_picousd_per_token),
            ]
        )
    return Bill(cost, answer.input_tokens, answer.output_tokens)
