"""What the contributing guide asks of the sources, read back from them."""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from sources import FILES, PACKAGES, ROOT, nodes

from actors.cli.app import app

FILE_LINES = 300
FUNCTION_LINES = 40
HELP_CHARS = 60

VOCABULARY = ROOT / "actors" / "messages.py"
"""It may be long: a list of words."""

EVERYWHERE = {"__init__", "errors", "table", "role", "performer", "backend"}
"""Names of a file that say the same in each room."""

SUBJECTS = {ROOT / "bus" / "subjects.py", ROOT / "actors" / "chaos" / "adversary.py"}
"""Who makes subjects, and who plays somebody that makes them by hand."""

IGNORE = re.compile(r"#\s*(?:noqa|type:\s*ignore)(?::\s*[\w, ]+|\[[\w, -]+\])?(?P<reason>.*)")


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in nodes(path):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def test_no_file_is_longer_than_three_hundred_lines() -> None:
    lengths = {path: len(path.read_text("utf-8").splitlines()) for path in FILES if path != VOCABULARY}
    assert {path: n for path, n in lengths.items() if n > FILE_LINES} == {}


def test_no_function_is_longer_than_forty_lines() -> None:
    found = {
        f"{path.relative_to(ROOT)}:{one.name}": length
        for path in FILES
        for one in functions(path)
        if (length := (one.end_lineno or one.lineno) - one.lineno + 1) > FUNCTION_LINES
    }
    assert found == {}


def test_a_module_s_name_stands_once_in_the_product() -> None:
    """Except in cli/, where a file is called as its command is."""
    names = [path.stem for path in FILES if "cli" not in path.parts]
    assert {n: c for n, c in Counter(names).items() if c > 1 and n not in EVERYWHERE} == {}


def test_a_subject_is_written_by_its_functions_alone() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in FILES
        if path not in SUBJECTS
        for node in nodes(path)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.startswith("coo.m.")
    ]
    assert found == []


@pytest.mark.parametrize("folder", [*PACKAGES, "tests", "bench"])
def test_what_is_ignored_has_a_reason(folder: str) -> None:
    found = []
    for path in sorted((ROOT / folder).rglob("*.py")):
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
            match = IGNORE.search(line)
            if match and not match["reason"].strip(" -#:") and path != Path(__file__):
                found.append(f"{path.relative_to(ROOT)}:{number}")
    assert found == []


def test_a_command_s_line_in_the_list_is_short_enough_to_be_read() -> None:
    long = {
        " ".join(path): line
        for path, line in help_lines(typer.main.get_command(app), ())
        if len(line) > HELP_CHARS or not line.endswith(".")
    }
    assert long == {}


def help_lines(command: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], str]]:
    """Return what the lists of commands say of each of them."""
    for name, below in getattr(command, "commands", {}).items():
        yield (*path, name), below.short_help or str(below.help).splitlines()[0]
        yield from help_lines(below, (*path, name))
