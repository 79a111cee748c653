"""From what a model wrote to the JSON object it meant: a ladder, each step named.

A model's answer is foreign text. What stands round the object, or is wrong in its form alone, is passed over
and said; what the object means is never guessed.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any, NamedTuple, TypeVar

T = TypeVar("T")

MOST_STARTS = 500
"""Places where an object could begin that are tried: more are not an answer."""

MOST_LOOKED_AT = 4_000_000
"""Characters looked at, all places together, so that no answer costs seconds to refuse."""

_THINKING = re.compile(r"<(think|thinking|thought|reasoning)>.*?</\1>", re.DOTALL | re.IGNORECASE)
_THOUGHT_END = re.compile(r"</(?:think|thinking|thought|reasoning)>", re.IGNORECASE)
_OPENERS = re.compile(r"[{\[]")
_COMMENT = re.compile(r'("(?:[^"\\]|\\.)*")|//[^\n]*|/\*.*?\*/', re.DOTALL)
_TRAILING = re.compile(r'("(?:[^"\\]|\\.)*")|,(?=\s*[}\]])', re.DOTALL)


class Misfit(ValueError):
    """A value is not what was asked for; the text says what is wrong with it, for the model."""


class Found(NamedTuple):
    """What was meant, where it stood in the text that was read, and the steps that led there."""

    value: Any
    start: int
    end: int
    steps: tuple[str, ...]


def without_thoughts(text: str) -> tuple[str, tuple[str, ...]]:
    """Return an answer without a byte order mark and without the thinking before it."""
    steps = []
    if text.startswith("\ufeff"):
        text, steps = text[1:], ["bom"]
    thought = _THINKING.match(text, len(text) - len(text.lstrip()))
    if thought is not None:
        return text[thought.end() :], (*steps, "think")
    end = _THOUGHT_END.search(text)  # some servers swallow the opening tag
    if end is not None and not _THINKING.search(text):
        return text[end.end() :], (*steps, "think")
    return text, tuple(steps)


def first_fitting(text: str, fit: Callable[[object], T]) -> tuple[T, Found]:
    """Return the first JSON value of the text that fits, and where it stood.

    `fit` turns a value into what was asked for. An object may stand in prose, in a fence, in another object,
    or as text in one, as the arguments of a tool call do.

    Raises:
        Misfit: from the value that came nearest: the first object that could be read.
    """
    nearest: list[Misfit] = []
    for fitting in all_fitting(text, fit, nearest):
        return fitting
    raise nearest[0] if nearest else Misfit("there is no JSON object in the answer")


def all_fitting(
    text: str, fit: Callable[[object], T], misfits: list[Misfit] | None = None
) -> Iterator[tuple[T, Found]]:
    """Yield every JSON value of the text that fits, as `first_fitting` finds the first."""
    for found in _values(text):
        for value, step in _inside(found.value):
            try:
                fitting = fit(value)
            except Misfit as error:
                if misfits is not None:
                    misfits.append(error)
                continue
            steps = (*found.steps, step) if step else found.steps
            yield fitting, found._replace(value=value, steps=steps)


def _values(text: str) -> Iterator[Found]:
    """Yield every object and list of the text that can be read, in order, outer ones first."""
    left = MOST_LOOKED_AT
    for opener in islice(_OPENERS.finditer(text), MOST_STARTS):
        start = opener.start()
        left -= len(text) - start
        if left < 0:
            return
        found = _read(text, start)
        if found is not None:
            around = ("around",) if text[:start].strip() or text[found.end :].strip() else ()
            yield found._replace(steps=(*around, *found.steps))


def _read(text: str, start: int) -> Found | None:
    """Read one value that begins here: strictly, else with what models get wrong in JSON put right."""
    try:
        value, end = json.JSONDecoder(parse_constant=_refuse).raw_decode(text, start)
        return Found(value, start, end, ())
    except (ValueError, RecursionError):
        pass
    closed = _matching_end(text, start)
    if closed is None:
        return None
    piece = text[start:closed]
    for step, mend in (
        ("raw_newlines", lambda t: t),
        ("trailing_commas", lambda t: _TRAILING.sub(_kept, t)),
        ("comments", lambda t: _TRAILING.sub(_kept, _COMMENT.sub(_kept, t))),
    ):
        try:
            value = json.JSONDecoder(strict=False, parse_constant=_refuse).decode(mend(piece))
            return Found(value, start, closed, (step,))
        except (ValueError, RecursionError):
            continue
    try:  # a model that writes Python
        value = ast.literal_eval(piece)
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return None
    return Found(value, start, closed, ("python",)) if isinstance(value, dict | list) else None


def _kept(match: re.Match[str]) -> str:
    return match[1] or ""


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")


def _matching_end(text: str, start: int) -> int | None:
    """Return where the bracket that opens here is closed, quoted text left out."""
    depth, at, quote = 0, start, ""
    while at < len(text):
        character = text[at]
        if quote:
            if character == "\\":
                at += 1
            elif character == quote:
                quote = ""
        elif character == '"':
            quote = character
        elif character in "{[":
            depth += 1
        elif character in "}]":
            depth -= 1
            if depth == 0:
                return at + 1
        at += 1
    return None


def _inside(value: object) -> Iterator[tuple[object, str]]:
    """Yield a value, and whatever object it carries as text."""
    yield value, ""
    if isinstance(value, dict):
        for inner in value.values():
            if isinstance(inner, str) and inner.lstrip()[:1] in ("{", "["):
                found = _read(inner, len(inner) - len(inner.lstrip()))
                if found is not None:
                    yield found.value, "as_text"
