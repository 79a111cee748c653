"""Reading a streamed chat completion: server-sent events into text and a bill. No I/O.

Numbers with a fraction are read as Decimal: no amount is ever a binary float. Whatever bytes come, what is
raised is a BadStream and nothing else.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from actors.performers.model.usage import BYTES_PER_TOKEN, Counted

MAX_LINE_BYTES = 4 * 1024 * 1024
_SPARE_BYTES = 4096
_MAX_DEPTH = 16
_LINE_END = re.compile(rb"\r\n|\n|\r")
_NO_END = frozenset({"", "null", "none"})


class BadStream(Exception):
    """What came is not an answer: an error of the provider's, no JSON, or far more than was asked for."""


@dataclass
class Answer:
    """What has come so far. `counted` is what the provider says that it took.

    `size_bytes` counts everything that was written for us, also what is not read. `done`: it said that
    nothing more follows. `closed`: the stream ended as streams do.
    """

    max_output_tokens: int
    parts: list[str] = field(default_factory=list)
    size_bytes: int = 0
    finish: str = ""
    done: bool = False
    closed: bool = False
    counted: Counted = field(default_factory=Counted)

    @property
    def text(self) -> str:
        """What was written; halves of a character that came in two events are one again."""
        return "".join(self.parts).encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")

    @property
    def is_whole(self) -> bool:
        """Whether nothing can follow that is charged for."""
        return self.done or (self.closed and self.finish != "")

    @property
    def microusd(self) -> int | None:
        return self.counted.microusd


class Lines:
    """Cuts chunks of bytes into the data of events; comments and empty lines keep a connection alive only."""

    def __init__(self) -> None:
        self._rest = b""
        self._first = True

    def feed(self, chunk: bytes) -> Iterator[str]:
        """Yield the data lines that a chunk completes.

        Raises:
            BadStream: a line has no end, or is not UTF-8.
        """
        *lines, self._rest = _LINE_END.split(self._rest + chunk)
        if len(self._rest) > MAX_LINE_BYTES:
            raise BadStream(f"a line of more than {MAX_LINE_BYTES} bytes")
        for line in lines:
            yield from self._data(line)

    def end(self) -> Iterator[str]:
        """Yield the data of a last line that ended with the connection.

        Raises:
            BadStream: it is not UTF-8.
        """
        line, self._rest = self._rest, b""
        yield from self._data(line)

    def _data(self, line: bytes) -> Iterator[str]:
        if self._first:
            line, self._first = line.removeprefix(b"\xef\xbb\xbf"), False
        if not line.startswith(b"data:") or not (data := line[5:].strip()):
            return
        try:
            yield data.decode()
        except UnicodeDecodeError as error:
            raise BadStream("the answer is not UTF-8") from error


def take(data: str, answer: Answer) -> None:
    """Take one event's data into an answer.

    Raises:
        BadStream: it is an error, no JSON object, or the answer grows far beyond what was asked for.
    """
    if data == "[DONE]":
        answer.done = True
        return
    try:
        event = json.loads(data, parse_float=Decimal, parse_constant=_no_constant)
    except (ValueError, ArithmeticError, RecursionError) as error:
        raise BadStream(f"no JSON: {data[:80]!r}") from error
    if not isinstance(event, dict):
        raise BadStream(f"no object: {data[:80]!r}")
    choices = event.get("choices")
    for choice in choices if isinstance(choices, list) else ():
        _take_choice(choice, answer)
    if isinstance(event.get("usage"), dict):
        answer.counted.take(event["usage"], answer.size_bytes)
    if event.get("error"):
        raise BadStream(f"the provider says: {_said(event['error'])}")
    if answer.size_bytes > answer.max_output_tokens * BYTES_PER_TOKEN + _SPARE_BYTES:
        raise BadStream(f"more than {answer.max_output_tokens} tokens were written: it was cut")


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not a number")


def _said(error: object) -> str:
    """Return an error's text; of one that nests without end, nothing."""
    try:
        return str(error)[:300]
    except RecursionError:
        return "…"


def _take_choice(choice: Any, answer: Answer) -> None:
    if not isinstance(choice, dict):
        return
    delta = choice.get("delta")
    answer.size_bytes += _written({**delta, "role": None} if isinstance(delta, dict) else delta)
    answer.size_bytes += _written(choice.get("message")) + _written(choice.get("text"))
    if isinstance(delta, dict) and isinstance(delta.get("content"), str):
        answer.parts.append(delta["content"])
    finish = choice.get("finish_reason")
    if isinstance(finish, str) and finish.strip().lower() not in _NO_END:
        answer.finish = finish


def _written(value: object, depth: int = 0) -> int:
    """Return how many bytes of text stand anywhere in a value: all of it may be charged for."""
    if isinstance(value, str):
        return len(value.encode("utf-8", "surrogatepass"))
    if depth == _MAX_DEPTH:
        return 0
    if isinstance(value, dict):
        return sum(_written(one, depth + 1) for one in value.values())
    if isinstance(value, list):
        return sum(_written(one, depth + 1) for one in value)
    return 0
