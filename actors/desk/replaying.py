"""`coo dlq replay`: sends originals of dead letters again, one, edited, or all that match a query.

The operator replays: a replay may be mail of anybody to anybody.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from actors.desk.errors import DeskError, Exit
from actors.desk.main import DataDirOption, JsonOption, ServerOption, run
from actors.desk.replays import Wanted, confirmed, replay_matching, sentence, told_of

if TYPE_CHECKING:
    from bus.deadletters import Entry
    from bus.envelope import Outgoing


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
    limit: Annotated[
        int | None, typer.Option("--limit", min=1, help="At most this many, oldest first.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be sent.")] = False,
    again: Annotated[bool, typer.Option("--again", help="Also what was replayed before.")] = False,
    yes: Annotated[
        bool, typer.Option("--yes", help="Do not ask, about an edited message or more than 20.")
    ] = False,
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
    if limit is not None and seq is not None:
        raise DeskError(Exit.USAGE, "--limit is for a query; a number is one dead letter.", "Leave it out.")
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
        limit=limit,
        as_json=as_json,
    )
    run(_one(wanted, seq, data_dir, server) if seq is not None else replay_matching(wanted, data_dir, server))


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
            raise DeskError(Exit.CONFLICT, sentence(error), f"See it: coo dlq show {seq}.") from error
        if n > 1 and not wanted.again:
            what = f"Dead letter {seq} was replayed before ({n - 1} times)."
            raise DeskError(Exit.CONFLICT, what, f"Once more: coo dlq replay {seq} --again.")
        if wanted.body is not None and not wanted.dry_run and not _agreed(letter, wanted.yes):
            note("Nothing was sent.")
            raise typer.Exit(int(Exit.USAGE))
        sent = None if wanted.dry_run else await publish_surely(carrier, letter, patient=False)
    _tell(entry, letter, n, sent, wanted.as_json)


def _agreed(letter: Outgoing, yes: bool) -> bool:
    """Show the exact mail on stderr and ask."""
    if yes:
        return True
    from actors.desk.screen import note

    for line in _lines(letter):
        note(line)
    return confirmed("Send exactly this?")


def _tell(entry: Entry, letter: Outgoing, n: int, sent: int | None, as_json: bool) -> None:
    from actors.desk.screen import note, out, out_json, plain
    from bus.subjects import COMPANY

    if as_json:
        out_json(told_of(entry, letter, n, sent))
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
