"""The forms of a model's answers. What is written oddly is read where only one thing can be meant."""

from __future__ import annotations

import shlex
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

MAX_FILES = 200

_APPROVED = frozenset({"approved", "approve", "accepted", "accept", "pass", "passed"})
_REJECTED = frozenset({"rejected", "reject", "refused", "fail", "failed"})
_SHELL = frozenset({"&&", "||", "|", ";", "&", ">", ">>", "<", "2>&1"})


def _argv(value: object) -> object:
    """Split a command that was written as one text; a list stays as it is."""
    if not isinstance(value, str):
        return value
    try:
        words = shlex.split(value)
    except ValueError as error:
        raise ValueError(f"{value!r} cannot be split into arguments: {error}") from error
    return words


def without_a_shell(words: list[str]) -> list[str]:
    """Return the words of a command that needs no shell.

    Raises:
        ValueError: one of them means something to a shell only.
    """
    if bad := [word for word in words if word in _SHELL]:
        raise ValueError(f"it runs without a shell, so {bad[0]!r} would be an argument: name one program")
    return words


def _listed(value: object) -> object:
    """Read nothing as an empty list, and one item as a list of one."""
    if value is None:
        return []
    return [value] if isinstance(value, str | dict) else value


def _finding(value: object) -> object:
    return {"problem": value} if isinstance(value, str) else value


def _said(value: object) -> object:
    return "" if value is None else value


def _decision(value: object) -> object:
    word = value.strip().strip(".!*").lower() if isinstance(value, str) else value
    if word in _APPROVED:
        return "approved"
    return "rejected" if word in _REJECTED else value


def relative(value: object) -> object:
    """Take what is only writing off a path: quotes around it, `./` before it."""
    return value.strip("`'\" ").removeprefix("./") if isinstance(value, str) else value


def _lines(value: object) -> object:
    """Read a text that was written as a list of lines."""
    if isinstance(value, list) and all(isinstance(line, str) for line in value):
        return "\n".join(value)
    return value


Text = Annotated[str, BeforeValidator(_lines), Field(min_length=1, max_length=8_000)]
Note = Annotated[str, BeforeValidator(_said), Field(max_length=4_000)]
Word = Annotated[str, Field(min_length=1, max_length=1_000)]
Path = Annotated[str, BeforeValidator(relative), Field(min_length=1, max_length=255)]
Argv = Annotated[list[Word], BeforeValidator(_argv), Field(min_length=1, max_length=50)]


class _Read(BaseModel):
    """Unknown keys are dropped: a model that says more than it was asked has still said that."""

    model_config = ConfigDict(extra="ignore", strict=True)


class PlannedTask(_Read):
    title: Annotated[str, Field(min_length=1, max_length=200)]
    brief: Text
    acceptance: Argv
    outputs: Annotated[list[Path], BeforeValidator(_listed), Field(max_length=50)] = []


class Plan(_Read):
    """The COO's answer to `plan`."""

    summary: Note = ""
    tasks: Annotated[list[PlannedTask], BeforeValidator(_listed), Field(min_length=1, max_length=50)]


class Finding(_Read):
    problem: Text
    expected: Note = ""
    file: Annotated[str, BeforeValidator(_said), Field(max_length=255)] = ""


class Verdict(_Read):
    """QA's answer to `judge`."""

    verdict: Annotated[Literal["approved", "rejected"], BeforeValidator(_decision)]
    findings: Annotated[
        list[Annotated[Finding, BeforeValidator(_finding)]],
        BeforeValidator(_listed),
        Field(max_length=50),
    ] = []
    reason: Note = ""


class FilesHeader(_Read):
    """What stands before the file blocks of `code` and `checks`."""

    summary: Note = ""
    files: Annotated[list[Path], BeforeValidator(_listed), Field(max_length=MAX_FILES)] = []
    run: Annotated[list[Word], BeforeValidator(_argv), Field(max_length=50)] | None = None


class Files(BaseModel):
    """The Engineer's answer to `code`, QA's to `checks`: whole files, and the command that runs them.

    `bad` are the files that were not taken, each with the reason; `steps` what was passed over in reading.
    """

    summary: str
    files: dict[str, bytes]
    run: list[str]
    bad: dict[str, str] = {}
    steps: tuple[str, ...] = ()
