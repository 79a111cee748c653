"""Sitting an exam by hand: its cases on any folder, its marker on what they showed; as QA does it."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import TYPE_CHECKING

from actors import messages as m
from actors import observed
from actors.roles.qa import marks
from actors.roles.qa.bench import Marks

if TYPE_CHECKING:
    from sandbox import Backend, Outcome


async def examine(
    backend: Backend, exam: m.Exam, contents: Mapping[str, bytes], work: Mapping[str, bytes], timeout_s: int
) -> tuple[Marks, dict[str, Outcome]]:
    """Run every case of an exam on some files, mark what they showed, and return both.

    `contents` has what the exam's references name, by their digests.
    """
    outcomes: dict[str, Outcome] = {}
    files = {path: contents[ref.digest] for path, ref in exam.files.items()}
    for case in exam.cases:
        inputs = {path: contents[ref.digest] for path, ref in case.inputs.items()}
        outcome = await _run(backend, case.argv, {**work, **inputs}, timeout_s, case.stdin)
        outcomes[case.name] = outcome
        shown = {**observed.recorded(outcome), **_in("files/", observed.kept(outcome, case.keep))}
        files |= _in(f"answers/{case.name}/", shown)
    marked = await _run(backend, exam.marker, files, timeout_s)
    told = m.Outcome(
        run="marks",
        number=0,
        rework=0,
        status=marked.status,
        exit_code=marked.exit_code,
        stdout=observed.end_of(marked.stdout),
        stderr=observed.end_of(marked.stderr) or marked.reason,
    )
    ended = [
        name
        for name, one in outcomes.items()
        if one.status in ("ok", "failed") and not (one.stdout.cut or one.stderr.cut)
    ]
    return marks.of_ended(marks.read(told, list(outcomes)), ended), outcomes


def _in(folder: str, files: Mapping[str, bytes]) -> dict[str, bytes]:
    return {f"{folder}{path}": content for path, content in files.items()}


async def _run(
    backend: Backend, argv: tuple[str, ...], files: Mapping[str, bytes], timeout_s: int, stdin: str = ""
) -> Outcome:
    from sandbox import Order

    name = f"by-hand-{secrets.token_hex(8)}"
    order = Order(id=name, argv=argv, files=files, timeout_s=float(timeout_s), stdin=stdin.encode())
    return await backend.run(order)
