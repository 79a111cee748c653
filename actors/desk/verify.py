"""`coo verify`: fold the log again, and name the first letter that this code does not explain."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

from actors.desk.errors import DeskError, Exit
from actors.desk.main import DataDirOption, JsonOption, ServerOption, run

if TYPE_CHECKING:
    from bus.envelope import Stored
    from bus.jetstream import JetStreamCarrier
    from bus.table import Ref
    from bus.verify import Report

ROLES = ("coo", "engineer", "qa", "approval", "budget")


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("verify")(verify)


def verify(
    mission: Annotated[
        Optional[str],  # noqa: UP045 - typer reads annotations at run time
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
    import msgspec

    from actors.company import role
    from actors.desk.connection import connected
    from actors.desk.record import find_mission, pages
    from actors.desk.screen import out, out_json, plain
    from actors.performers.proofs import PERFORMERS
    from actors.table import TABLE
    from bus.subjects import (
        DLQ_STREAM,
        EVERY_DEAD_LETTER,
        EVERY_MAIL,
        MAIL_STREAM,
        dead_letter_filter,
        mission_filter,
    )
    from bus.verify import verify as check

    async with connected(data_dir, server) as carrier:
        name = "" if everything else await find_mission(carrier, mission)
        pattern = EVERY_MAIL if everything else mission_filter(name)
        dead_pattern = EVERY_DEAD_LETTER if everything else dead_letter_filter(mission=name)
        dead = [stored async for page in pages(carrier, DLQ_STREAM, dead_pattern) for stored in page]
        # Read after their copies: so the mail of each is there.
        messages = [stored async for page in pages(carrier, MAIL_STREAM, pattern) for stored in page]
        contents = await _contents(carrier, messages)
    roles = {name: role(name) for name in ROLES if everything or TABLE.mailbox(name).per == "mission"}
    report = check(messages, TABLE, roles, contents.get, PERFORMERS, dead)
    if as_json:
        out_json(msgspec.to_builtins(report))
    else:
        out(_told(report))
    for stream, findings in ((MAIL_STREAM, report.findings), (DLQ_STREAM, report.dead)):
        if findings:
            first = findings[0]
            why = f"message {first.seq} of {stream}, {first.subject}: {first.why}"
            raise DeskError(
                Exit.FAILED, f"Not explained: {plain(why)}.", f"See it: nats stream get {stream} {first.seq}"
            )


def _told(report: Report) -> str:
    copies = f", {len(report.copies)} harmless copies" if report.copies else ""
    copies += f", {report.older} decided otherwise by older versions" if report.older else ""
    return (
        f"{report.messages} messages: {report.letters} letters and {report.checkpoints} checkpoints folded "
        f"again{copies}, {len(report.findings) or 'none'} not explained"
        + (f", {len(report.dead)} dead letters that are none" if report.dead else "")
    )


async def _contents(carrier: JetStreamCarrier, messages: list[Stored]) -> dict[Ref, bytes]:
    """Fetch the blobs of checkpoints that were too big for a body; what is not there is left out."""
    from actors.table import TABLE
    from bus import blobs
    from bus.checkpoints import read
    from bus.errors import BlobMismatch

    refs: dict[Any, bytes] = {}
    for checkpoint in filter(None, (read(TABLE, stored) for stored in messages)):
        if checkpoint.blob is not None and checkpoint.blob not in refs:
            with suppress(BlobMismatch):
                refs[checkpoint.blob] = await blobs.get(carrier, checkpoint.blob)
    return refs
