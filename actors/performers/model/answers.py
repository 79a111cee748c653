"""What a model writes, read and checked: plans, files and verdicts.

A model's answer is foreign text. What is wrong with its form is passed over where nothing else can be meant,
and named in `steps`; what is wrong with what it says is told in one line that the model itself can read.
"""

from __future__ import annotations

import re
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from actors.performers.model.forms import (
    MAX_FILES,
    Files,
    FilesHeader,
    Plan,
    Verdict,
    relative,
    without_a_shell,
)
from actors.performers.model.salvage import Found, Misfit, all_fitting, first_fitting, without_thoughts

_MAX_ANSWER_BYTES = 4 * 1024 * 1024
_MARKDOWN = (".md", ".markdown", ".mdx", ".rst", ".txt")

_HALF = re.compile("[\ud800-\udfff]")

T = TypeVar("T", bound=BaseModel)


class InvalidAnswer(ValueError):
    """The answer is not what the turn asked for."""


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
    plan, _ = object_in(Plan, text, lambda value: {"tasks": value} if isinstance(value, list) else value)
    for task in plan.tasks:
        check_command(f"acceptance of {task.title!r}", task.acceptance)
        check_command(f"tests of {task.title!r}", task.tests)
    return plan


def check_command(what: str, argv: list[str]) -> None:
    """Check that a command needs no shell.

    Raises:
        InvalidAnswer: it does.
    """
    try:
        without_a_shell(argv)
    except ValueError as error:
        raise InvalidAnswer(f"{what}: {error}") from error


def read_verdict(text: str) -> Verdict:
    """Read a verdict.

    Raises:
        InvalidAnswer: no JSON object of that form, or a rejection without a finding or a reason.
    """
    verdict, _ = object_in(Verdict, text)
    answer, _ = without_thoughts(text)
    said = {other.verdict for other, _ in all_fitting(answer, lambda value: _checked(Verdict, value))}
    if len(said) > 1:  # one of them may be quoted from what is judged
        raise InvalidAnswer("the answer has more than one verdict: say one, and quote none")
    if verdict.verdict == "rejected" and not (verdict.findings or verdict.reason):
        raise InvalidAnswer("a rejection needs findings or a reason")
    if verdict.verdict == "approved" and (verdict.findings or verdict.at_fault):
        raise InvalidAnswer("approved with findings: approve and find nothing, or reject")
    return verdict


def read_files(text: str, nonce: str) -> Files:
    """Read a JSON header and file blocks; only lines that carry the nonce begin or end a block.

    A block that cannot be taken is named in `bad`, and the others are kept.

    Raises:
        InvalidAnswer: there is no file in it that can be taken, and it does not say why it is blocked.
    """
    head, body = parted(text, nonce)
    head, steps = without_thoughts(head)
    header, found = _header(head)
    files, bad = blocks_in(body, nonce)
    for path in header.files:
        if path not in files and path not in bad:
            bad[path] = "the header names it, and there is no block of it"
    if not files and not header.blocked:
        raise InvalidAnswer(no_files(bad, bool(body)))
    steps += found.steps if found else ("no_header",)
    return Files(summary=header.summary, files=files, blocked=header.blocked, bad=bad, steps=steps)


def parted(text: str, nonce: str) -> tuple[str, str]:
    """Return what stands before the first file block, and the rest.

    Raises:
        InvalidAnswer: it is blank, or far too long.
    """
    _bounded(text)
    begin = re.search(rf"^[ \t]*<<<FILE\b.*{re.escape(nonce)}[ \t]*$", text, re.MULTILINE)
    return (text[: begin.start()], text[begin.start() :]) if begin else (text, "")


def no_files(bad: dict[str, str], has_blocks: bool) -> str:
    """Say what is wrong with an answer without a file that can be taken."""
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


def blocks_in(text: str, nonce: str) -> tuple[dict[str, bytes], dict[str, str]]:
    """Return the files of the blocks, and those that cannot be taken with the reason."""
    blocks: dict[str, bytes] = {}
    bad: dict[str, str] = {}
    path, lines = "", list[str]()
    for line in text.splitlines(keepends=True):
        words = line.split()
        if words[:1] == ["<<<FILE"] and words[-1] == nonce and len(words) > 2:
            if path:
                bad[path] = "its block has no end"
            path, lines = str(relative(" ".join(words[1:-1]))), []
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
    elif len(blocks) >= MAX_FILES:
        bad[path] = f"there are more than {MAX_FILES} files"
    else:
        blocks[path] = content


def _unfenced(path: str, lines: list[str]) -> list[str]:
    """Take off a fence that wraps a whole file; in a text about text it may be meant."""
    inner = lines[1:-1]
    wrapped = len(lines) >= 2 and lines[0].startswith("```") and lines[-1].strip() == "```"
    if wrapped and not path.endswith(_MARKDOWN) and not any(line.startswith("```") for line in inner):
        return inner
    return lines


def object_in(model: type[T], text: str, shape: Any = lambda value: value) -> tuple[T, Found]:
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
