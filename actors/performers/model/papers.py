"""An exam that QA's model wrote, read and checked: cases, a marker, and the files of both.

The work runs beside the inputs of a case and never beside the marker, so what it may not know must not be
among those inputs.
"""

from __future__ import annotations

from typing import NamedTuple

from actors.performers.model.answers import (
    InvalidAnswer,
    blocks_in,
    check_command,
    no_files,
    object_in,
    parted,
)
from actors.performers.model.forms import Case, ExamHeader

FOLDER = "qa_exam/"
"""Where the files of an exam stand, in a place that no work may use."""


class Paper(NamedTuple):
    """An exam as it was written: the content of each file by its path in the folder."""

    summary: str
    cases: list[Case]
    marker: list[str]
    files: dict[str, bytes]


def read_exam(text: str, nonce: str) -> Paper:
    """Read an exam: a JSON header with cases and marker, and file blocks.

    Raises:
        InvalidAnswer: no header of that form, or a file, a case or the marker that cannot be taken.
    """
    head, body = parted(text, nonce)
    header, _ = object_in(ExamHeader, head)
    files, bad = blocks_in(body, nonce)
    bad |= {path: f"files of an exam stand in {FOLDER}" for path in files if not path.startswith(FOLDER)}
    unsent = sorted(set(header.files) - set(files))
    bad |= dict.fromkeys(unsent, "the header names it, and there is no block of it")
    if bad or not files:
        raise InvalidAnswer(no_files(bad, bool(body)))
    _check_marker(header, files)
    if all(case.spare for case in header.cases):
        raise InvalidAnswer("every case is spare: one at least is for the first work")
    names: set[str] = set()
    for case in header.cases:
        if case.name in names:
            raise InvalidAnswer(f"two cases are named {case.name}")
        names.add(case.name)
        _check_case(case, files, header.marker)
    return Paper(header.summary, header.cases, header.marker, files)


def _check_marker(header: ExamHeader, files: dict[str, bytes]) -> None:
    check_command("the marker", header.marker)
    if not files.keys() & set(header.marker):
        raise InvalidAnswer("the marker runs none of the files: name its path in the command")


def _check_case(case: Case, files: dict[str, bytes], marker: list[str]) -> None:
    from sandbox.paths import check_path, check_tree

    check_command(f"case {case.name}", case.argv)
    for source in case.inputs.values():
        if source not in files:
            raise InvalidAnswer(f"case {case.name} is given {source}, and there is no block of it")
        if source in marker:
            raise InvalidAnswer(f"case {case.name} is given {source}: the work must not see the marker")
    try:
        check_tree(frozenset(case.inputs))
        for path in case.keep:
            check_path(path)
    except ValueError as error:
        raise InvalidAnswer(f"case {case.name}: {error}") from error
