"""`coo artifacts`: what a mission delivered, listed and written to a folder."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer

from actors import messages as m
from actors.cli.connection import connected
from actors.cli.exits import Exit
from actors.cli.options import DataDirOption, JsonOption, ServerOption, group, run
from actors.cli.screen import note, out, out_json, out_table
from actors.desk.deliver import Delivery, check_target, deliver, sift
from actors.errors import Kind, UserError
from actors.plain import plain
from actors.projections.record import Record, find_mission, listing, read_record
from actors.projections.timeline import count
from actors.roles.evidence import digest_of
from bus import blobs
from bus.errors import BlobMismatch
from bus.ports import Carrier
from sandbox.obeyed import obeyed

MAX_BYTES = 512 * 1024 * 1024
"""A deliverable above this is not fetched: it is held in memory until all of it was checked."""

_FETCHES = 8

WantedArgument = Annotated[str, typer.Argument(metavar="MISSION", help="A mission, or its id's beginning.")]


def ls(
    wanted: WantedArgument,
    data_dir: DataDirOption = None,
    server: ServerOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the files of a mission's deliverable."""
    run(_ls(wanted, as_json, data_dir, server))


async def _ls(wanted: str, as_json: bool, data_dir: Path | None, server: str | None) -> None:
    async with connected(data_dir, server) as carrier:
        record = await _read(carrier, wanted)
        files = listing(deliverable(record))
    if as_json:
        out_json(files)
    elif files:
        out_table(["SIZE", "SHA256", "FILE"], [(str(f["size"]), f["sha256"], f["path"]) for f in files])
    else:
        note(f"{record.name} delivered no files.")


def get(
    wanted: WantedArgument,
    target: Annotated[Path, typer.Option("--out", metavar="DIR", help="Where the files go.")],
    force: Annotated[bool, typer.Option("--force", help="Replace files that differ.")] = False,
    data_dir: DataDirOption = None,
    server: ServerOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write a mission's files to a folder.

    All of them, or none if something is in the way.
    """
    check_target(target)
    delivery = run(_get(wanted, target, force, as_json, data_dir, server))
    if delivery.skipped:
        raise typer.Exit(int(Exit.CONFLICT))


async def _get(
    wanted: str, target: Path, force: bool, as_json: bool, data_dir: Path | None, server: str | None
) -> Delivery:
    async with connected(data_dir, server) as carrier:
        record = await _read(carrier, wanted)
        if not record.is_final:
            note(f"{record.name} is {record.state}: these files are not released yet.")
        if record.status is not None and record.status.rank == "claimed":
            note(f"{record.name} was approved on its own word alone: no exam proved anything.")
        delivery = await deliver_to(carrier, record, target, force=force)
    if as_json:
        skipped = [{"path": path, "reason": reason} for path, reason in delivery.skipped.items()]
        out_json(
            {
                "mission": record.name,
                "out": str(target),
                "written": delivery.written,
                "unchanged": delivery.unchanged,
                "skipped": skipped,
            }
        )
    else:
        for path in delivery.written:
            out(plain(path, 1_000))
    tell(delivery, target)
    return delivery


async def _read(carrier: Carrier, wanted: str) -> Record:
    return await read_record(carrier, await find_mission(carrier, wanted))


def deliverable(record: Record) -> m.Manifest:
    """Return the files that a mission delivered, or asks to release.

    Raises:
        UserError: there is no deliverable.
    """
    status = record.status
    if status is None or not (status.asks or status.state == "completed"):
        what = f"{record.name} has no deliverable: it is {record.state}."
        raise UserError(Kind.NOT_FOUND, what, f"See what becomes of it: coo follow {record.name}.")
    return status.deliverable


async def deliver_to(carrier: Carrier, record: Record, target: Path, *, force: bool) -> Delivery:
    """Fetch a deliverable, check every byte against its digest, list what tools obey, and write it.

    Raises:
        UserError: nothing to deliver, a file that is not what its name says, or something in the way.
    """
    files = deliverable(record)
    _check_examined(record, files)
    contents = await _fetch(carrier, files)
    _warn(contents)
    return await asyncio.to_thread(deliver, contents, target, force=force)


def _check_examined(record: Record, files: m.Manifest) -> None:
    """Check that QA examined exactly these files; logs of old do not say what was.

    Raises:
        UserError: it approved others.
    """
    if record.examined and "" not in record.examined and digest_of(files) not in record.examined:
        what = f"The deliverable of {record.name} is not what QA examined; nothing was written."
        raise UserError(Kind.CONFLICT, what, f"Find out who changed it: coo verify {record.name}.")


def _warn(paths: Iterable[str]) -> None:
    """Say on stderr, before anything is written, which files some tool obeys by itself."""
    for path, tool in obeyed(sift(paths)[0]).items():
        note(f"{plain(path, 120)!r} is obeyed by {tool}: read it before you use the folder")


async def _fetch(carrier: Carrier, files: m.Manifest) -> dict[str, bytes]:
    size = sum(ref.size for ref in files.values())
    if size > MAX_BYTES:
        what = f"The deliverable has {size} bytes; at most {MAX_BYTES} are fetched at once."
        raise UserError(Kind.CONFLICT, what)
    few = asyncio.Semaphore(_FETCHES)

    async def one(path: str) -> bytes:
        async with few:
            try:
                return await blobs.get(carrier, files[path])
            except BlobMismatch as error:
                what = f"{plain(path, 120)} cannot be fetched: {plain(str(error), 300)}."
                raise UserError(Kind.NOT_FOUND, what, "Nothing was written.") from error

    contents = await asyncio.gather(*map(one, files))
    return dict(zip(files, contents, strict=True))


def tell(delivery: Delivery, target: Path) -> None:
    """Say on stderr what was written and what was not."""
    said = f"{count(len(delivery.written), 'file')} written to {plain(str(target), 300)}"
    if delivery.unchanged:
        said += f", {len(delivery.unchanged)} there already"
    note(said)
    for path, reason in delivery.skipped.items():
        note(f"not written: {plain(path, 120)!r}: {reason}")


GROUP = group()
GROUP.command("ls")(ls)
GROUP.command("get")(get)
