"""What a model writes, read and checked: plans, files and verdicts.

A model's answer is foreign text. It is read strictly; what is wrong with it is said in one line that the
model itself can be told.
"""

from __future__ import annotations

import json
import re
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

_MAX_FILES = 200
_MAX_ANSWER_BYTES = 4 * 1024 * 1024

_HALF = re.compile("[\ud800-\udfff]")

T = TypeVar("T", bound=BaseModel)
Text = Annotated[str, Field(min_length=1, max_length=8_000)]
Word = Annotated[str, Field(min_length=1, max_length=1_000)]
Path = Annotated[str, Field(min_length=1, max_length=255)]


class InvalidAnswer(ValueError):
    """The answer is not what the turn asked for."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class PlannedTask(_Strict):
    title: Annotated[str, Field(min_length=1, max_length=200)]
    brief: Text
    acceptance: Annotated[list[Word], Field(min_length=1, max_length=50)]
    outputs: Annotated[list[Path], Field(max_length=50)] = []


class Plan(_Strict):
    """The COO's answer to `plan`."""

    summary: Annotated[str, Field(max_length=4_000)]
    tasks: Annotated[list[PlannedTask], Field(min_length=1, max_length=50)]


class Finding(_Strict):
    problem: Text
    expected: Annotated[str, Field(max_length=4_000)] = ""
    file: Annotated[str, Field(max_length=255)] | None = None


class Verdict(_Strict):
    """QA's answer to `judge`."""

    verdict: Literal["approved", "rejected"]
    findings: Annotated[list[Finding], Field(max_length=50)] = []
    reason: Annotated[str, Field(max_length=4_000)] = ""


class FilesHeader(_Strict):
    """What stands before the file blocks of `code` and `checks`."""

    summary: Annotated[str, Field(max_length=4_000)] = ""
    files: Annotated[list[Path], Field(min_length=1, max_length=_MAX_FILES)]
    run: Annotated[list[Word], Field(min_length=1, max_length=50)] | None = None


class Files(BaseModel):
    """The Engineer's answer to `code`, QA's to `checks`: whole files, and the command that runs them."""

    summary: str
    files: dict[str, bytes]
    run: list[str]


def check_text(text: str) -> None:
    """Check that every character of an answer can be written to a file.

    Raises:
        InvalidAnswer: half of a character stands alone in it.
    """
    if half := _HALF.search(text):
        where = text[: half.start()][-40:]
        raise InvalidAnswer(f"half of a character, \\u{ord(half[0]):04x}, stands alone after {where!r}")


def read_plan(text: str) -> Plan:
    """Read a plan.

    Raises:
        InvalidAnswer: not one JSON object of that form.
    """
    return _checked(Plan, _only_object(text))


def read_verdict(text: str) -> Verdict:
    """Read a verdict.

    Raises:
        InvalidAnswer: not one JSON object of that form, or a rejection without a finding or a reason.
    """
    verdict = _checked(Verdict, _only_object(text))
    if verdict.verdict == "rejected" and not (verdict.findings or verdict.reason):
        raise InvalidAnswer("a rejection needs findings or a reason")
    return verdict


def read_files(text: str, nonce: str) -> Files:
    """Read file blocks behind a JSON header; only lines that carry the nonce begin or end a block.

    Raises:
        InvalidAnswer: no such header, a block without its end, or blocks other than the header names.
    """
    value, end = _first_object(text)
    header = _checked(FilesHeader, value)
    blocks = _blocks(text[end:], nonce)
    if list(blocks) != header.files:
        raise InvalidAnswer(f"the header names {header.files}, the blocks are {list(blocks)}")
    return Files(summary=header.summary, files=blocks, run=header.run or [])


def _blocks(text: str, nonce: str) -> dict[str, bytes]:
    blocks: dict[str, bytes] = {}
    path, lines = "", list[str]()
    for line in text.splitlines(keepends=True):
        words = line.split()
        if not path and len(words) == 3 and words[0] == "<<<FILE" and words[2] == nonce:
            path, lines = words[1], []
            if path in blocks:
                raise InvalidAnswer(f"{path} is there twice")
        elif path and words == ["FILE>>>", nonce]:
            blocks[path] = "".join(lines).encode("utf-8", "replace")
            path = ""
        elif path:
            lines.append(line)
        elif line.strip():
            raise InvalidAnswer(f"there is text outside the blocks: {line.strip()[:80]!r}")
    if path:
        raise InvalidAnswer(f"the block of {path} has no end")
    return blocks


def _only_object(text: str) -> object:
    value, end = _first_object(text)
    if text[end:].strip().strip("`"):
        raise InvalidAnswer("there is text behind the JSON object")
    return value


def _first_object(text: str) -> tuple[object, int]:
    """Decode the JSON object that the text begins with; a code fence before it is passed over."""
    if len(text.encode("utf-8", "replace")) > _MAX_ANSWER_BYTES:
        raise InvalidAnswer(f"the answer is above {_MAX_ANSWER_BYTES} bytes")
    start = text.find("{")
    if start < 0 or text[:start].strip().removeprefix("```").removeprefix("json").strip("\ufeff \n"):
        raise InvalidAnswer("the answer does not begin with a JSON object")
    try:
        return json.JSONDecoder().raw_decode(text, start)
    except (ValueError, RecursionError) as error:
        raise InvalidAnswer(f"the JSON object cannot be read: {error}") from error


def _checked(model: type[T], value: object) -> T:
    try:
        return model.model_validate(value)
    except ValidationError as error:
        raise InvalidAnswer("; ".join(_line(e) for e in error.errors()[:10])) from error


def _line(error: Any) -> str:
    where = ".".join(map(str, error["loc"])) or "answer"
    return f"{where}: {error['msg']}"
