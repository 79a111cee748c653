"""What a provider says that a call took, and whether that can be its bill. No I/O.

Providers differ: reasoning stands in `completion_tokens` or beside them, cached input in `prompt_tokens` or
beside them, and `total_tokens` tells which. What fits no reading, or cannot be what was sent and received,
is not a bill: it comes with a doubt, and is booked at its hold.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal
from typing import Any, NamedTuple

from actors.money import MICRO, MOST_MICROUSD

BYTES_PER_TOKEN = 32
"""No tokenizer covers more bytes of an ordinary text with a token, on average of a whole text."""

SPARE_BYTES = 64
FAR = 10
"""A count above so many times the most that it can be is taken for an error and not for an overrun."""

_TOKENS_MOST = 10**9

_PLACES: dict[str, tuple[str, ...]] = {
    "prompt": ("prompt_tokens",),
    "completion": ("completion_tokens",),
    "total": ("total_tokens",),
    "cached": (
        "prompt_tokens_details.cached_tokens",
        "input_tokens_details.cached_tokens",
        "prompt_cache_hit_tokens",
        "cache_read_input_tokens",
        "cached_tokens",
    ),
    "written": (
        "prompt_tokens_details.cache_write_tokens",
        "cache_creation_input_tokens",
    ),
    "reasoning": (
        "completion_tokens_details.reasoning_tokens",
        "output_tokens_details.reasoning_tokens",
        "reasoning_tokens",
    ),
}
"""Where each count may stand; the greatest counts."""


class Unreadable(ValueError):
    """A figure is there and cannot be read."""


@dataclass
class Counted:
    """What a provider has counted so far; of a figure that it states again the greatest counts.

    `output_at` and `cost_at` are the bytes of answer that had come when each was last stated. `unreadable`
    names a figure that is there and is none.
    """

    prompt: int | None = None
    completion: int | None = None
    total: int | None = None
    cached: int = 0
    written: int = 0
    reasoning: int = 0
    microusd: int | None = None
    output_at: int = -1
    cost_at: int = -1
    unreadable: str = ""

    def take(self, usage: dict[str, Any], size_bytes: int) -> None:
        """Take one usage object into account, stated when `size_bytes` of answer had come."""
        if usage.get("completion_tokens") is not None and usage.get("total_tokens") is None:
            self.total = None  # that of an earlier event is the total of less
        for name, places in _PLACES.items():
            for place in places:
                count = self._count(usage, place)
                if count is not None:
                    setattr(self, name, max(count, getattr(self, name) or 0))
                    self.output_at = size_bytes if name == "completion" else self.output_at
        try:
            cost = cost_of(usage)
        except Unreadable as error:
            self.unreadable = str(error)
            return
        if cost is not None:
            self.microusd, self.cost_at = max(cost, self.microusd or 0), size_bytes

    def _count(self, usage: dict[str, Any], place: str) -> int | None:
        value: object = usage
        for name in place.split("."):
            value = value.get(name) if isinstance(value, dict) else None
        if value is None:
            return None
        try:
            return _tokens(value)
        except Unreadable:
            self.unreadable = place
            return None


class Reading(NamedTuple):
    """Tokens to be paid for; the cached ones are among the input. `parts` says what of it does not add up."""

    input_tokens: int
    cached_tokens: int
    output_tokens: int
    parts: str = ""


def read(counted: Counted) -> Reading:
    """Return the tokens by the reading that the total confirms, and where none does by the dearest."""
    prompt, completion = counted.prompt or 0, counted.completion or 0
    before, thought = counted.cached + counted.written, counted.reasoning
    above = "parts are above their whole" if before > prompt or thought > completion else ""
    if counted.total is None:
        return Reading(prompt + before, counted.cached, completion + thought, above)
    extra = counted.total - prompt - completion
    for beside, aside in ((0, 0), (0, thought), (before, 0), (before, thought)):
        fits = (before <= prompt or beside) and (thought <= completion or aside)
        if fits and beside + aside == extra:
            return Reading(prompt + beside, counted.cached, completion + aside)
    if extra > 0 and not above:  # counted in the total alone, as some count what was thought
        return Reading(prompt, counted.cached, completion + extra)
    why = above or "the total is below its parts"
    return Reading(prompt + before, counted.cached, completion + max(thought, extra), why)


def doubt(counted: Counted, reading: Reading, *, prompt_bytes: int, size_bytes: int, most: int) -> str:
    """Say why figures cannot be the bill of what was sent and received; nothing if they can.

    `most` is the bound of the answer in tokens, beside the bytes of it that came.
    """
    if counted.unreadable:
        return f"{counted.unreadable} is not a figure"
    if counted.prompt == 0 or (size_bytes and counted.completion == 0):
        return "no tokens are counted for a text"
    stated_at = counted.output_at if counted.microusd is None else counted.cost_at
    if stated_at < size_bytes:
        return "the usage is from before the last content"
    if counted.microusd is not None:
        return ""  # the provider's own figure needs no tokens to be its bill
    if reading.parts:
        return reading.parts
    if reading.output_tokens * BYTES_PER_TOKEN + SPARE_BYTES < size_bytes:
        return f"{reading.output_tokens} tokens are counted for {size_bytes} bytes of answer"
    if reading.input_tokens * BYTES_PER_TOKEN + SPARE_BYTES < prompt_bytes:
        return f"{reading.input_tokens} tokens are counted for {prompt_bytes} bytes of prompt"
    if reading.input_tokens > FAR * (prompt_bytes + SPARE_BYTES):
        return f"{reading.input_tokens} tokens are counted for {prompt_bytes} bytes of prompt"
    if reading.output_tokens > FAR * max(most, size_bytes):
        return f"{reading.output_tokens} tokens are counted for an answer of {most} at most"
    return ""


def _tokens(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int | Decimal) or not 0 <= value <= _TOKENS_MOST:
        raise Unreadable("a count")
    if value != int(value):
        raise Unreadable("a count")
    return int(value)


def cost_of(usage: dict[str, Any]) -> int | None:
    """Return the provider's own figure in micro-dollars, rounded up, or None if it states none.

    With a key of one's own at the provider behind it, the figure is only the fee: both are added. Where it
    is an object, its total counts.

    Raises:
        Unreadable: it states one that is not an amount.
    """
    stated = usage.get("cost")
    if isinstance(stated, dict):
        stated = stated.get("total_cost", "")
    if stated is None:
        return None
    cost = _dollars(stated)
    if usage.get("is_byok") is True:
        details = usage.get("cost_details")
        cost += _dollars(details.get("upstream_inference_cost") if isinstance(details, dict) else None)
    micro = int((cost * MICRO).to_integral_value(ROUND_CEILING))
    if micro > MOST_MICROUSD:
        raise Unreadable("cost")
    return micro or None


def _dollars(value: object) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        raise Unreadable("cost")
    if isinstance(value, Decimal) and not value.is_finite():
        raise Unreadable("cost")
    if not 0 <= value <= MOST_MICROUSD:
        raise Unreadable("cost")
    return Decimal(value)
