"""What a model writes, read and checked: plans, files and verdicts.

A model's answer is foreign text. What is wrong with its form is passed over where nothing else can be meant,
and named in `steps`; what is wrong with what it says is told in one line that the model itself can read.
"""

from __future__ import annotations

import re
import shlex
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from actors.salvage import Found, Misfit, all_fitting, first_fitting, without_thoughts

_MAX_FILES = 200
_MAX_ANSWER_BYTES = 4 * 1024 * 1024
_MARKDOWN = (".md", ".markdown", ".mdx", ".rst", ".txt")

_APPROVED = frozenset({"approved", "approve", "accepted", "accept", "pass", "passed"})
_REJECTED = frozenset({"rejected", "reject", "refused", "fail", "failed"})
_SHELL = frozenset({"&&", "||", "|", ";", "&", ">", ">>", "<", "2>&1"})

_HALF = re.compile("[\ud800-\udfff]")

T = TypeVar("T", bound=BaseModel)


class InvalidAnswer(ValueError):
    """The answer is not what the turn asked for."""


def _argv(value: object) -> object:
    """Split a command that was written as one text; a list stays as it is."""
    if not isinstance(value, str):
        return value
    try:
        words = shlex.split(value)
    except ValueError as error:
        raise ValueError(f"{value!r} cannot be split into arguments: {error}") from error
    return words


def _without_a_shell(words: list[str]) -> list[str]:
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


def _relative(value: object) -> object:
    return value.strip("`'\" ").removeprefix("./") if isinstance(value, str) else value


def _lines(value: object) -> object:
    """Read a text that was written as a list of lines."""
    if isinstance(value, list) and all(isinstance(line, str) for line in value):
        return "\n".join(value)
    return value


Text = Annotated[str, BeforeValidator(_lines), Field(min_length=1, max_length=8_000)]
Note = Annotated[str, BeforeValidator(_said), Field(max_length=4_000)]
Word = Annotated[str, Field(min_length=1, max_length=1_000)]
Path = Annotated[str, BeforeValidator(_relative), Field(min_length=1, max_length=255)]
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
    files: Annotated[list[Path], BeforeValidator(_listed), Field(max_length=_MAX_FILES)] = []
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
        InvalidAnswer: no JSON object of that form is in it, or a command needs a shell.
    """
    plan, _ = _object(Plan, text, lambda value: {"tasks": value} if isinstance(value, list) else value)
    for task in plan.tasks:
        try:
            _without_a_shell(task.acceptance)
        except ValueError as error:
            raise InvalidAnswer(f"acceptance of {task.title!r}: {error}") from error
    return plan


def read_verdict(text: str) -> Verdict:
    """Read a verdict.

    Raises:
        InvalidAnswer: no JSON object of that form, or a rejection without a finding or a reason.
    """
    verdict, _ = _object(Verdict, text)
    answer, _ = without_thoughts(text)
    said = {other.verdict for other, _ in all_fitting(answer, lambda value: _checked(Verdict, value))}
    if len(said) > 1:  # one of them may be quoted from what is judged
        raise InvalidAnswer("the answer has more than one verdict: say one, and quote none")
    if verdict.verdict == "rejected" and not (verdict.findings or verdict.reason):
        raise InvalidAnswer("a rejection needs findings or a reason")
    return verdict


def read_files(text: str, nonce: str) -> Files:
    """Read a JSON header and file blocks; only lines that carry the nonce begin or end a block.

    A block that cannot be taken is named in `bad`, and the others are kept.

    Raises:
        InvalidAnswer: there is no file in it that can be taken.
    """
    _bounded(text)
    begin = re.search(rf"^[ \t]*<<<FILE\b.*{re.escape(nonce)}[ \t]*$", text, re.MULTILINE)
    head, body = (text[: begin.start()], text[begin.start() :]) if begin else (text, "")
    head, steps = without_thoughts(head)
    header, found = _header(head)
    files, bad = _blocks(body, nonce)
    for path in header.files:
        if path not in files and path not in bad:
            bad[path] = "the header names it, and there is no block of it"
    if not files:
        raise InvalidAnswer(_no_files(bad, begin is not None))
    steps += found.steps if found else ("no_header",)
    return Files(summary=header.summary, files=files, run=header.run or [], bad=bad, steps=steps)


def _no_files(bad: dict[str, str], has_blocks: bool) -> str:
    if bad:
        return "; ".join(f"{path}: {why}" for path, why in list(bad.items())[:10])
    return "no file" if has_blocks else "no line `<<<FILE path NONCE` with the nonce that was given"


def _header(head: str) -> tuple[FilesHeader, Found | None]:
    try:
        return first_fitting(head, lambda value: _checked(FilesHeader, value))
    except Misfit as error:
        if "{" in head and '"files"' in head:
            raise InvalidAnswer(f"the header: {error}") from error
        return FilesHeader(), None


def _blocks(text: str, nonce: str) -> tuple[dict[str, bytes], dict[str, str]]:
    """Return the files of the blocks, and those that cannot be taken with the reason."""
    blocks: dict[str, bytes] = {}
    bad: dict[str, str] = {}
    path, lines = "", list[str]()
    for line in text.splitlines(keepends=True):
        words = line.split()
        if words[:1] == ["<<<FILE"] and words[-1] == nonce and len(words) > 2:
            if path:
                bad[path] = "its block has no end"
            path, lines = str(_relative(" ".join(words[1:-1]))), []
        elif path and words == ["FILE>>>", nonce]:
            _take(path, "".join(_unfenced(path, lines)), blocks, bad)
            path = ""
        elif path:
            lines.append(line)
    if path:
        bad[path] = "its block has no end: the answer was cut"
    for one in bad:
        blocks.pop(one, None)
    return blocks, bad


def _take(path: str, text: str, blocks: dict[str, bytes], bad: dict[str, str]) -> None:
    from sandbox.paths import refusal

    try:
        content = text.encode("utf-8")
    except UnicodeEncodeError:
        bad[path] = "it has half a character (a lone surrogate)"
        return
    if why := refusal(path):
        bad[path] = why
    elif blocks.get(path, content) != content:
        bad[path] = "it is there twice, with different content"
    elif len(blocks) >= _MAX_FILES:
        bad[path] = f"there are more than {_MAX_FILES} files"
    else:
        blocks[path] = content


def _unfenced(path: str, lines: list[str]) -> list[str]:
    """Take off a fence that wraps a whole file; in a text about text it may be meant."""
    inner = lines[1:-1]
    wrapped = len(lines) >= 2 and lines[0].startswith("```") and lines[-1].strip() == "```"
    if wrapped and not path.endswith(_MARKDOWN) and not any(line.startswith("```") for line in inner):
        return inner
    return lines


def _object(model: type[T], text: str, shape: Any = lambda value: value) -> tuple[T, Found]:
    """Return the first object of the answer that is one of these.

    Raises:
        InvalidAnswer: there is none.
    """
    _bounded(text)
    answer, steps = without_thoughts(text)
    try:
        value, found = first_fitting(answer, lambda value: _checked(model, shape(value)))
    except Misfit as error:
        raise InvalidAnswer(str(error)) from error
    return value, found._replace(steps=(*steps, *found.steps))


def _bounded(text: str) -> None:
    if not text.strip():
        raise InvalidAnswer("the answer is blank")
    if len(text.encode("utf-8", "replace")) > _MAX_ANSWER_BYTES:
        raise InvalidAnswer(f"the answer is above {_MAX_ANSWER_BYTES} bytes")


def _checked(model: type[T], value: object) -> T:
    if not isinstance(value, dict):
        raise Misfit("the answer is not a JSON object")
    named = {key.strip().lower(): inner for key, inner in value.items() if isinstance(key, str)}
    try:
        return model.model_validate(named)
    except ValidationError as error:
        raise Misfit("; ".join(_line(e) for e in error.errors()[:10])) from error


def _line(error: Any) -> str:
    where = ".".join(map(str, error["loc"])) or "answer"
    return f"{where}: {error['msg']}"
