"""`coo exam`: what a mission's work was examined by, and the same exam on any folder."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

from actors.cli.config import ConfigOption
from actors.cli.connection import connected
from actors.cli.exits import Exit
from actors.cli.options import DataDirOption, JsonOption, ServerOption, run
from actors.cli.screen import note, out, out_json, out_table
from actors.errors import Kind, UserError
from actors.plain import plain
from actors.projections.examined import Sitting, read_sittings
from actors.projections.record import find_mission
from actors.projections.timeline import count
from bus import blobs
from bus.errors import BlobMismatch

if TYPE_CHECKING:
    from actors.roles.qa.bench import Marks
    from bus.ports import Carrier
    from sandbox import Outcome, Policy

_MARKS = {"pass": "✔", "fail": "✘", "": "·"}


def exam(
    wanted: Annotated[str, typer.Argument(metavar="MISSION", help="A mission, or its id's beginning.")],
    folder: Annotated[
        Optional[Path], typer.Option("--on", metavar="DIR", help="Sit its last exam on this folder.")
    ] = None,
    task: Annotated[Optional[int], typer.Option("--task", metavar="N", help="Of this task alone.")] = None,
    config: ConfigOption = None,
    data_dir: DataDirOption = None,
    server: ServerOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show a mission's exams: cases, what they showed, and their marks.

    With --on, run the last exam on a folder; ends with 3 when a case fails.
    """
    sittings = run(_read(wanted, task, data_dir, server))
    if folder is None:
        out_json([one.told() for one in sittings]) if as_json else _show(sittings)
        return
    from actors.cli.sandbox import policy
    from actors.desk.configuration import load_settings

    settings = load_settings(config).sandbox
    limits = policy(settings.model_copy(update={"pool": 0}))
    marks, outcomes = run(_on(sittings[-1], folder, limits, settings.backend, data_dir, server))
    told = _marked(sittings[-1], marks, outcomes)
    out_json(told) if as_json else _show_marks(told)
    if told["fault"] or any(case["mark"] != "pass" for case in told["cases"]):
        raise typer.Exit(int(Exit.FAILED))


async def _read(wanted: str, task: int | None, data_dir: Path | None, server: str | None) -> list[Sitting]:
    async with connected(data_dir, server) as carrier:
        name = await find_mission(carrier, wanted)
        found = await read_sittings(carrier, name)
    of_task = [one for one in found if task is None or one.task.number + 1 == task]
    if not of_task:
        which = f"task {task} of {name}" if found else name
        what = f"{which} has no exam: QA has not examined it."
        raise UserError(Kind.NOT_FOUND, what, f"See what becomes of it: coo follow {name}.")
    return of_task


async def _on(
    sitting: Sitting, folder: Path, limits: Policy, choice: Any, data_dir: Path | None, server: str | None
) -> tuple[Marks, dict[str, Outcome]]:
    from actors.desk.examine import examine
    from sandbox import FolderRefused, OrderRefused, Unavailable, choose_backend
    from sandbox.folders import read_folder

    exam = sitting.exam
    assert exam is not None
    try:
        work = await asyncio.to_thread(read_folder, folder, limits)
        async with connected(data_dir, server) as carrier:
            contents = await _contents(carrier, sitting)
        backend = await choose_backend(choice, limits, note)
        try:
            return await examine(backend, exam, contents, work, sitting.task.terms.run_timeout_s)
        finally:
            await backend.close()
    except FolderRefused as error:
        raise UserError(Kind.USAGE, f"{error.reason}.", f"{error.fix.capitalize()}.") from error
    except OrderRefused as error:
        raise UserError(Kind.USAGE, f"{error}.", "Give a folder that a mission could deliver.") from error
    except Unavailable as error:
        raise UserError(Kind.UNREACHABLE, f"{error.reason}.", error.fix) from error


async def _contents(carrier: Carrier, sitting: Sitting) -> dict[str, bytes]:
    assert sitting.exam is not None
    inputs = [ref for case in sitting.exam.cases for ref in case.inputs.values()]
    try:
        return {
            ref.digest: await blobs.get(carrier, ref)
            for ref in dict.fromkeys([*sitting.exam.files.values(), *inputs])
        }
    except BlobMismatch as error:
        what = f"A file of the exam cannot be fetched: {plain(str(error), 300)}."
        raise UserError(Kind.NOT_FOUND, what, "coo verify shows what the log has.") from error


def _marked(sitting: Sitting, marks: Marks, outcomes: dict[str, Outcome]) -> dict[str, Any]:
    from actors import observed

    told = sitting.told()
    for case in told["cases"]:
        name, outcome = case["name"], outcomes[case["name"]]
        case["mark"] = "pass" if name in marks.passes else "fail" if name in marks.fails else ""
        case |= {"why": marks.fails.get(name, ""), "status": outcome.status, "exit_code": outcome.exit_code}
        case |= {"stdout": observed.end_of(outcome.stdout), "stderr": observed.end_of(outcome.stderr)}
    return {**told, "fault": marks.fault, "controls": [], "verdict": ""}


def _show(sittings: list[Sitting]) -> None:
    for number, sitting in enumerate(sittings):
        if number:
            out("")
        told = sitting.told()
        again = f", rework {told['rework']}" if told["rework"] else ""
        said = f": {told['verdict']}" if told["verdict"] else ""
        out(f"task {told['task']}{again}, exam {told['exam']}: {plain(told['title'], 100)}{said}")
        _show_marks(told)
        for control in told["controls"]:
            passed = count(len(control["passes"]), "case") if control["passes"] else "nothing"
            out(f"  control {control['control']}: {plain(control['fault'] or f'passes {passed}', 200)}")


def _show_marks(told: dict[str, Any]) -> None:
    rows = []
    for case in told["cases"]:
        code = case["exit_code"] if case["exit_code"] is not None else case["status"]
        ran = " ".join(case["argv"]) + (" (kept for a rework)" if case["spare"] and not case["mark"] else "")
        rows.append((_MARKS[case["mark"]], case["name"], str(code), plain(case["why"] or ran, 100)))
    out_table(["", "CASE", "EXIT", "RAN, OR WHY IT FAILED"], rows)
    if told["fault"]:
        note(f"the marker says nothing that counts: {plain(told['fault'], 300)}")
