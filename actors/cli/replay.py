"""`coo dlq replay`: sends originals of dead letters again, one, edited, or all that match a query.

The operator replays: a replay may be mail of anybody to anybody.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

from actors.cli.connection import connected
from actors.cli.exits import Exit
from actors.cli.options import DataDirOption, JsonOption, ServerOption, run
from actors.cli.replays import Wanted, confirmed, replay_matching, sentence, told_of
from actors.cli.screen import note, out, out_json
from actors.desk.dead import entry_in, find
from actors.desk.durations import read_duration
from actors.errors import Kind, UserError
from actors.plain import plain, plain_lines
from bus import deadletters
from bus.deadletters import Entry
from bus.envelope import Outgoing
from bus.loops.publisher import publish_surely
from bus.subjects import COMPANY
from bus.table import OPERATOR

SeqArgument = Annotated[
    Optional[int],
    typer.Argument(metavar="[SEQ]", min=1, help="The number that `coo dlq ls` shows; without it, a query."),
]
BodyOption = Annotated[
    Optional[Path],
    typer.Option("--body", help="Send this file's bytes instead; the exact mail is shown and asked about."),
]
LimitOption = Annotated[
    Optional[int], typer.Option("--limit", min=1, help="At most this many, oldest first.")
]
YesOption = Annotated[
    bool, typer.Option("--yes", help="Do not ask, about an edited message or more than 20.")
]


def replay(
    seq: SeqArgument = None,
    mailbox: Annotated[Optional[str], typer.Option("--mailbox", help="All of this mailbox.")] = None,
    mission: Annotated[Optional[str], typer.Option("--mission", help="All of this mission.")] = None,
    reason: Annotated[Optional[str], typer.Option("--reason", help="All with this reason.")] = None,
    since: Annotated[Optional[str], typer.Option("--since", help="All younger than 90s, 10m or 2h.")] = None,
    body: BodyOption = None,
    rate: Annotated[float, typer.Option("--rate", min=0.1, max=1000, help="Messages a second.")] = 50.0,
    limit: LimitOption = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be sent.")] = False,
    again: Annotated[bool, typer.Option("--again", help="Also what was replayed before.")] = False,
    yes: YesOption = False,
    data_dir: DataDirOption = None,
    server: ServerOption = None,
    as_json: JsonOption = False,
) -> None:
    """Send the originals of dead letters again.

    They are sent as the log has them.
    """
    _check(
        seq, query=any((mailbox, mission, reason, since)), edited=body is not None, limited=limit is not None
    )
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


def _check(seq: int | None, *, query: bool, edited: bool, limited: bool) -> None:
    """Check that options which are given fit together.

    Raises:
        UserError: they do not.
    """
    if (seq is None) == (not query):
        raise UserError(
            Kind.USAGE, "Say one number, or a query.", "For example: coo dlq replay --reason raised"
        )
    if edited and seq is None:
        raise UserError(Kind.USAGE, "Only one dead letter at a time can be edited.", "Name its number.")
    if limited and seq is not None:
        raise UserError(Kind.USAGE, "--limit is for a query; a number is one dead letter.", "Leave it out.")


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes().rstrip(b"\n")
    except OSError as error:
        raise UserError(Kind.USAGE, f"{path} cannot be read: {error.strerror}.") from error


async def _one(wanted: Wanted, seq: int, data_dir: Path | None, server: str | None) -> None:
    async with connected(data_dir, server, OPERATOR) as carrier:
        entry = entry_in(await find(carrier, seq))
        try:
            letter, n = await deadletters.replay(carrier, entry, wanted.body)
        except deadletters.ReplayRefused as error:
            raise UserError(Kind.CONFLICT, sentence(error), f"See it: coo dlq show {seq}.") from error
        if n > 1 and not wanted.again:
            what = f"Dead letter {seq} was replayed before ({n - 1} times)."
            raise UserError(Kind.CONFLICT, what, f"Once more: coo dlq replay {seq} --again.")
        if wanted.body is not None and not wanted.dry_run and not _agreed(letter, wanted.yes):
            note("Nothing was sent.")
            raise typer.Exit(int(Exit.USAGE))
        sent = None if wanted.dry_run else await publish_surely(carrier, letter, patient=False)
    _tell(entry, letter, n, sent, wanted.as_json)


def _agreed(letter: Outgoing, yes: bool) -> bool:
    """Show the exact mail on stderr and ask."""
    if yes:
        return True

    for line in _lines(letter):
        note(line)
    return confirmed("Send exactly this?")


def _tell(entry: Entry, letter: Outgoing, n: int, sent: int | None, as_json: bool) -> None:
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
    headers = [f"{plain(name)}: {plain(value, 400)}" for name, value in letter.headers.items()]
    return [plain(letter.subject, 400), *headers, "", plain_lines(letter.body.decode("utf-8", "replace"))]
