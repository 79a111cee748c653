"""The forms of a model's answers. What is written oddly is read where only one thing can be meant."""

from __future__ import annotations

import shlex
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

MAX_FILES = 200
MAX_CASES = 30

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


def _words(value: object) -> object:
    """Read no command as an empty one."""
    return [] if value is None or value == "" else _argv(value)


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


def _by_path(value: object) -> object:
    """Read a list of paths as files that stand where their blocks say."""
    if value is None:
        return {}
    value = [value] if isinstance(value, str) else value
    return {path: path for path in value} if isinstance(value, list) else value


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
Paths = Annotated[list[Path], BeforeValidator(_listed), Field(max_length=50)]


class _Read(BaseModel):
    """Unknown keys are dropped: a model that says more than it was asked has still said that."""

    model_config = ConfigDict(extra="ignore", strict=True)


class PlannedTask(_Read):
    title: Annotated[str, Field(min_length=1, max_length=200)]
    brief: Text
    acceptance: Argv
    outputs: Paths = []
    protected: Paths = []
    tests: Annotated[list[Word], BeforeValidator(_words), Field(max_length=50)] = []


class Plan(_Read):
    """The COO's answer to `plan`."""

    summary: Note = ""
    tasks: Annotated[list[PlannedTask], BeforeValidator(_listed), Field(min_length=1, max_length=50)]


class Finding(_Read):
    problem: Text
    expected: Note = ""
    file: Annotated[str, BeforeValidator(_said), Field(max_length=255)] = ""
    taste: bool = False


class Verdict(_Read):
    """QA's answer to `judge`."""

    verdict: Annotated[Literal["approved", "rejected"], BeforeValidator(_decision)]
    findings: Annotated[
        list[Annotated[Finding, BeforeValidator(_finding)]],
        BeforeValidator(_listed),
        Field(max_length=50),
    ] = []
    reason: Note = ""
    at_fault: Annotated[Literal["", "work", "case", "brief"], BeforeValidator(_said)] = ""
    cases: Annotated[list[Word], BeforeValidator(_listed), Field(max_length=MAX_CASES)] = []


class FilesHeader(_Read):
    """What stands before the file blocks of `code`."""

    summary: Note = ""
    files: Annotated[list[Path], BeforeValidator(_listed), Field(max_length=MAX_FILES)] = []
    blocked: Note = ""


class Case(_Read):
    """One run of the work. `inputs` says which file block stands where in its workspace."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,39}$")]
    argv: Argv
    stdin: Annotated[str, BeforeValidator(_said), Field(max_length=64_000)] = ""
    inputs: Annotated[dict[Path, Path], BeforeValidator(_by_path), Field(max_length=50)] = {}
    keep: Paths = []
    spare: bool = False


class ExamHeader(_Read):
    """What stands before the file blocks of `exam`."""

    summary: Note = ""
    cases: Annotated[list[Case], BeforeValidator(_listed), Field(min_length=1, max_length=MAX_CASES)]
    marker: Argv
    files: Annotated[list[Path], BeforeValidator(_listed), Field(max_length=MAX_FILES)] = []


class Files(BaseModel):
    """The Engineer's answer to `code`: whole files, or why the task cannot be done as it is planned.

    `bad` are the files that were not taken, each with the reason; `steps` what was passed over in reading.
    """

    summary: str
    files: dict[str, bytes]
    blocked: str = ""
    bad: dict[str, str] = {}
    steps: tuple[str, ...] = ()
