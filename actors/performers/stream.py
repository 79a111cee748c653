"""Reading a streamed chat completion: server-sent events into text and a bill. No I/O.

Numbers with a fraction are read as Decimal: no amount is ever a binary float.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import ROUND_CEILING, Decimal
from typing import Any

from actors.money import MICRO, MOST_MICROUSD

MAX_LINE_BYTES = 4 * 1024 * 1024
_TOKENS_MOST = 10**9
_BYTES_PER_TOKEN = 32
_SPARE_BYTES = 4096


class BadStream(Exception):
    """What came is not an answer: an error of the provider's, no JSON, or far more than was asked for."""


@dataclass
class Answer:
    """What has come so far. Tokens and cost are None until the provider has said them."""

    max_output_tokens: int
    parts: list[str] = field(default_factory=list)
    size_bytes: int = 0
    finish: str = ""
    input_tokens: int | None = None
    output_tokens: int | None = None
    cached_tokens: int = 0
    microusd: int | None = None

    @property
    def is_billed(self) -> bool:
        return self.input_tokens is not None and self.output_tokens is not None


class Lines:
    """Cuts chunks of bytes into the data of events; comments and empty lines keep a connection alive only."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, chunk: bytes) -> Iterator[str]:
        """Yield the data lines that a chunk completes.

        Raises:
            BadStream: a line has no end, or is no UTF-8.
        """
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        if len(self._rest) > MAX_LINE_BYTES:
            raise BadStream(f"a line of more than {MAX_LINE_BYTES} bytes")
        for line in lines:
            if not line.startswith(b"data:"):
                continue
            try:
                yield line[5:].strip().decode()
            except UnicodeDecodeError as error:
                raise BadStream("the answer is no UTF-8") from error


def take(data: str, answer: Answer) -> None:
    """Take one event's data into an answer.

    Raises:
        BadStream: it is an error, no JSON object, or the answer grows far beyond what was asked for.
    """
    if data == "[DONE]":
        return
    try:
        event = json.loads(data, parse_float=Decimal, parse_constant=_no_constant)
    except ValueError as error:
        raise BadStream(f"no JSON: {data[:80]!r}") from error
    if not isinstance(event, dict):
        raise BadStream(f"no object: {data[:80]!r}")
    if isinstance(event.get("usage"), dict):
        _take_usage(event["usage"], answer)
    for choice in event.get("choices") or ():
        _take_choice(choice, answer)
    if event.get("error"):
        raise BadStream(f"the provider says: {str(event['error'])[:300]}")
    if answer.size_bytes > answer.max_output_tokens * _BYTES_PER_TOKEN + _SPARE_BYTES:
        raise BadStream(f"more than {answer.max_output_tokens} tokens were written: it was cut")


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no number")


def _take_choice(choice: Any, answer: Answer) -> None:
    if not isinstance(choice, dict):
        return
    delta = choice.get("delta")
    if isinstance(delta, dict):
        for name in ("reasoning", "reasoning_content", "content"):
            text = delta.get(name)
            if isinstance(text, str):
                answer.size_bytes += len(text.encode("utf-8", "replace"))
                if name == "content":
                    answer.parts.append(text)
    if isinstance(choice.get("finish_reason"), str):
        answer.finish = choice["finish_reason"]


def _take_usage(usage: dict[str, Any], answer: Answer) -> None:
    answer.input_tokens = _tokens(usage.get("prompt_tokens"))
    answer.output_tokens = _tokens(usage.get("completion_tokens"))
    details = usage.get("prompt_tokens_details")
    cached = usage.get("prompt_cache_hit_tokens")
    if cached is None and isinstance(details, dict):
        cached = details.get("cached_tokens")
    answer.cached_tokens = min(_tokens(cached) or 0, answer.input_tokens or 0)
    answer.microusd = cost_of(usage)


def _tokens(value: object) -> int | None:
    if not isinstance(value, int) or isinstance(value, bool):
        return None
    return value if 0 <= value <= _TOKENS_MOST else None


def cost_of(usage: dict[str, Any]) -> int | None:
    """Return the provider's own figure in micro-dollars, rounded up, or None if there is none to trust.

    With a key of one's own at the provider behind it, the figure is only the fee: both are added.
    """
    cost = _dollars(usage.get("cost"))
    if cost is None:
        return None
    details = usage.get("cost_details")
    if usage.get("is_byok") is True:
        upstream = _dollars(details.get("upstream_inference_cost")) if isinstance(details, dict) else None
        if upstream is None:
            return None
        cost += upstream
    micro = int((cost * MICRO).to_integral_value(ROUND_CEILING))
    return micro if 0 < micro <= MOST_MICROUSD else None


def _dollars(value: object) -> Decimal | None:
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        return None
    amount = Decimal(value)
    return amount if amount.is_finite() and 0 <= amount <= MOST_MICROUSD else None
