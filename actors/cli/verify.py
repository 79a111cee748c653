"""`coo verify`: fold the log again, and name the first letter that this code does not explain."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional

import msgspec
import typer

from actors.cast import table
from actors.cli.connection import connected
from actors.cli.options import DataDirOption, JsonOption, ServerOption, run
from actors.cli.screen import out, out_json
from actors.errors import Kind, UserError
from actors.performers.proofs import PERFORMERS
from actors.plain import plain
from actors.process.wiring import role
from actors.projections.record import find_mission
from actors.table import HALTS
from bus import blobs
from bus.dataref import is_dataref
from bus.envelope import Stored
from bus.errors import BlobMismatch
from bus.fold import Role
from bus.reading import pages
from bus.subjects import (
    DLQ_STREAM,
    EVERY_DEAD_LETTER,
    EVERY_MAIL,
    MAIL_STREAM,
    dead_letter_filter,
    mission_filter,
)
from bus.table import Ref
from bus.verify import Report
from bus.verify import verify as check

if TYPE_CHECKING:
    from bus.jetstream import JetStreamCarrier


def verify(
    mission: Annotated[
        Optional[str],
        typer.Argument(metavar="[M]", help="A mission; the latest one without it."),
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="The whole company, the guard included.")] = False,
    data_dir: DataDirOption = None,
    server: ServerOption = None,
    as_json: JsonOption = False,
) -> None:
    """Fold the log again: every letter and every checkpoint must be what this code decides."""
    run(_verify(mission, everything, as_json, data_dir, server))


async def _verify(
    mission: str | None, everything: bool, as_json: bool, data_dir: Path | None, server: str | None
) -> None:
    async with connected(data_dir, server) as carrier:
        name = "" if everything else await find_mission(carrier, mission)
        pattern = EVERY_MAIL if everything else mission_filter(name)
        dead_pattern = EVERY_DEAD_LETTER if everything else dead_letter_filter(mission=name)
        found = pages(carrier, DLQ_STREAM, dead_pattern, whole=False)
        dead = [stored async for page in found for stored in page]
        found = pages(carrier, MAIL_STREAM, pattern, whole=False)
        messages = [stored async for page in found for stored in page]  # after their copies: so each is there
        known = table()
        roles = {
            name: role(name, known)
            for name in known.roles
            if everything or known.mailbox(name).per == "mission"
        }
        report = await _checked(carrier, messages, dead, roles)
    if as_json:
        out_json(msgspec.to_builtins(report))
    else:
        out(_told(report))
    for stream, findings in ((MAIL_STREAM, report.findings), (DLQ_STREAM, report.dead)):
        if findings:
            first = findings[0]
            why = f"message {first.seq} of {stream}, {first.subject}: {first.why}"
            raise UserError(
                Kind.FAILED, f"Not explained: {plain(why)}.", f"See it: nats stream get {stream} {first.seq}"
            )


def _told(report: Report) -> str:
    copies = f", {len(report.copies)} harmless copies" if report.copies else ""
    copies += f", {report.older} decided otherwise by older versions" if report.older else ""
    return (
        f"{report.messages} messages: {report.letters} letters and {report.checkpoints} checkpoints folded "
        f"again{copies}, {len(report.findings) or 'none'} not explained"
        + (f", {len(report.dead)} dead letters that are none" if report.dead else "")
    )


async def _checked(
    carrier: JetStreamCarrier,
    messages: Sequence[Stored],
    dead: Sequence[Stored],
    roles: Mapping[str, Role[Any]],
) -> Report:
    """Fold in a thread, which fetches each blob when it comes to it: all would be too much to keep."""
    loop = asyncio.get_running_loop()

    def blob_of(ref: Ref) -> bytes | None:
        try:
            return asyncio.run_coroutine_threadsafe(blobs.get(carrier, ref), loop).result()
        except BlobMismatch:
            return None  # whoever names it is found to be wrong, with the rest

    def whole_of(stored: Stored) -> Stored:
        if not is_dataref(stored.body):
            return stored
        return asyncio.run_coroutine_threadsafe(blobs.whole(carrier, stored), loop).result()

    return await asyncio.to_thread(
        check, messages, table(), roles, blob_of, PERFORMERS, dead, HALTS, whole_of
    )
