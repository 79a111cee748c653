"""`coo dlq replay`: sends originals of dead letters again, one, edited, or all that match a query.

The operator replays: a replay may be mail of anybody to anybody.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

from actors.desk.errors import DeskError, Exit
from actors.desk.main import DataDirOption, JsonOption, ServerOption, run

if TYPE_CHECKING:
    from bus.deadletters import Entry
    from bus.envelope import Outgoing
    from bus.ports import Carrier


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What to replay and how: one entry, or every one that matches."""

    seq: int | None
    mailbox: str | None
    mission: str | None
    reason: str | None
    since_s: int | None
    body: bytes | None
    dry_run: bool
    again: bool
    yes: bool
    rate: float
    as_json: bool


def replay(
    seq: Annotated[
        Optional[int],  # noqa: UP045
        typer.Argument(
            metavar="[SEQ]", min=1, help="The number that `coo dlq ls` shows; without it, a query."
        ),
    ] = None,
    mailbox: Annotated[Optional[str], typer.Option("--mailbox", help="All of this mailbox.")] = None,  # noqa: UP045
    mission: Annotated[Optional[str], typer.Option("--mission", help="All of this mission.")] = None,  # noqa: UP045
    reason: Annotated[Optional[str], typer.Option("--reason", help="All with this reason.")] = None,  # noqa: UP045
    since: Annotated[str | None, typer.Option("--since", help="All younger than 90s, 10m or 2h.")] = None,
    body: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(
            "--body", help="Send this file's bytes instead; the exact mail is shown and asked about."
        ),
    ] = None,
    rate: Annotated[float, typer.Option("--rate", min=0.1, max=1000, help="Messages a second.")] = 50.0,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be sent.")] = False,
    again: Annotated[bool, typer.Option("--again", help="Also what was replayed before.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask about an edited mail.")] = False,
    data_dir: DataDirOption = None,
    server: ServerOption = None,
    as_json: JsonOption = False,
) -> None:
    """Send the originals of dead letters again, as the log has them."""
    from actors.desk.order import read_duration

    query = (mailbox, mission, reason, since)
    if (seq is None) == (not any(query)):
        raise DeskError(
            Exit.USAGE, "Say one number, or a query.", "For example: coo dlq replay --reason raised"
        )
    if body is not None and seq is None:
        raise DeskError(Exit.USAGE, "Only one dead letter at a time can be edited.", "Name its number.")
    wanted = Wanted(
        seq=seq,
        mailbox=mailbox,
        mission=mission,
        reason=reason,
        since_s=read_duration(since, "--since") if since else None,
        body=_read(body) if body else None,
        dry_run=dry_run,
        again=again,
        yes=yes,
        rate=rate,
        as_json=as_json,
    )
    run(_one(wanted, seq, data_dir, server) if seq is not None else _all(wanted, data_dir, server))


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes().rstrip(b"\n")
    except OSError as error:
        raise DeskError(Exit.USAGE, f"{path} cannot be read: {error.strerror}.") from error


async def _one(wanted: Wanted, seq: int, data_dir: Path | None, server: str | None) -> None:
    from actors.desk.connection import connected
    from actors.desk.dead import entry_in, find
    from actors.desk.screen import note
    from bus import deadletters
    from bus.authority import OPERATOR
    from bus.publisher import publish_surely

    async with connected(data_dir, server, OPERATOR) as carrier:
        entry = entry_in(await find(carrier, seq))
        try:
            letter, n = await deadletters.replay(carrier, entry, wanted.body)
        except deadletters.ReplayRefused as error:
            raise DeskError(Exit.CONFLICT, _sentence(error), f"See it: coo dlq show {seq}.") from error
        if n > 1 and not wanted.again:
            what = f"Dead letter {seq} was replayed before ({n - 1} times)."
            raise DeskError(Exit.CONFLICT, what, f"Once more: coo dlq replay {seq} --again.")
        if wanted.body is not None and not wanted.dry_run and not _agreed(letter, wanted.yes):
            note("Nothing was sent.")
            raise typer.Exit(int(Exit.USAGE))
        sent = None if wanted.dry_run else await publish_surely(carrier, letter)
    _tell(entry, letter, n, sent, wanted.as_json)


def _agreed(letter: Outgoing, yes: bool) -> bool:
    """Show the exact mail on stderr and ask."""
    if yes:
        return True
    from actors.desk.screen import note

    for line in _lines(letter):
        note(line)
    try:
        return typer.confirm("Send exactly this?", default=False, err=True)
    except typer.Abort:
        return False


async def _all(wanted: Wanted, data_dir: Path | None, server: str | None) -> None:
    """Replay what matches, each once however often this is repeated, and go on past what is refused."""
    import asyncio

    from actors.desk.connection import connected
    from actors.desk.screen import note, plain
    from bus import deadletters
    from bus.authority import OPERATOR
    from bus.publisher import publish_surely

    done = before = 0
    refused: list[str] = []
    async with connected(data_dir, server, OPERATOR) as carrier:
        async for entry in _matching(carrier, wanted):
            try:
                letter, n = await deadletters.replay(carrier, entry)
            except deadletters.ReplayRefused as error:
                refused.append(_sentence(error))
                continue
            if n > 1 and not wanted.again:
                before += 1
                continue
            sent = None if wanted.dry_run else await publish_surely(carrier, letter)
            _tell_line(entry, letter, n, sent, wanted.as_json)
            done += 1
            if sent is not None:
                await asyncio.sleep(1 / wanted.rate)
    for what in refused:
        note(plain(what, 400))
    word = "would be replayed" if wanted.dry_run else "replayed"
    note(f"{done} {word}, {before} were before, {len(refused)} refused")
    if refused:
        raise typer.Exit(int(Exit.CONFLICT))


async def _matching(carrier: Carrier, wanted: Wanted) -> AsyncIterator[Entry]:
    from actors.desk.dead import entry_in
    from actors.desk.record import pages
    from bus.subjects import DLQ_STREAM, EVERY_DEAD_LETTER

    oldest_ns = carrier.now_ns() - wanted.since_s * 10**9 if wanted.since_s is not None else 0
    async for page in pages(carrier, DLQ_STREAM, EVERY_DEAD_LETTER):
        for stored in page:
            try:
                entry = entry_in(stored)
            except DeskError:
                continue  # forged beyond reading; `coo dlq ls` shows it
            if (
                entry.time_ns >= oldest_ns
                and wanted.mailbox in (None, entry.mailbox)
                and wanted.mission in (None, entry.mission)
                and wanted.reason in (None, entry.reason)
            ):
                yield entry


def _told(entry: Entry, letter: Outgoing, n: int, sent: int | None) -> dict[str, Any]:
    told = {"dead_letter": entry.seq, "subject": letter.subject, "id": letter.id, "replay": n, "seq": sent}
    return {**told, "dry_run": sent is None}


def _tell_line(entry: Entry, letter: Outgoing, n: int, sent: int | None, as_json: bool) -> None:
    import json

    from actors.desk.screen import out, plain

    if as_json:
        out(json.dumps(_told(entry, letter, n, sent)))
    else:
        what = "would be replayed" if sent is None else f"replayed as message {sent}"
        out(f"dead letter {entry.seq} {what}: {plain(letter.subject)}")


def _tell(entry: Entry, letter: Outgoing, n: int, sent: int | None, as_json: bool) -> None:
    from actors.desk.screen import note, out, out_json, plain
    from bus.subjects import COMPANY

    if as_json:
        out_json(_told(entry, letter, n, sent))
    elif sent is None:
        for line in _lines(letter):
            out(line)
        note("Nothing was sent.")
    else:
        out(f"dead letter {entry.seq} replayed as message {sent}")
        if entry.mission != COMPANY:
            note(f"Now let the mission go on: coo resume {plain(entry.mission)}")


def _lines(letter: Outgoing) -> list[str]:
    """Return a mail as a person may see it, to the last header."""
    from actors.desk.screen import plain, plain_lines

    headers = [f"{plain(name)}: {plain(value, 400)}" for name, value in letter.headers.items()]
    return [plain(letter.subject, 400), *headers, "", plain_lines(letter.body.decode("utf-8", "replace"))]


def _sentence(error: Exception) -> str:
    from actors.desk.screen import plain

    text = plain(str(error), 400)
    return text[:1].upper() + text[1:].rstrip(".") + "."
