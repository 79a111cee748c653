"""`coo dlq`: mail that could not be decided, why, and sending it again."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from actors.desk.errors import DeskError, Exit
from actors.desk.main import DataDirOption, JsonOption, ServerOption, run

if TYPE_CHECKING:
    from bus.deadletters import Entry
    from bus.envelope import Outgoing, Stored
    from bus.ports import Carrier

SeqArgument = Annotated[int, typer.Argument(metavar="SEQ", min=1, help="The number that `coo dlq ls` shows.")]

_SENDER = "operator"
"""Who replays: a replay may be mail of anybody to anybody."""


def register(app: typer.Typer) -> None:
    """Add the commands of dead letters."""
    dlq = typer.Typer(name="dlq", no_args_is_help=True, help="See mail that failed, and send it again.")
    dlq.command("ls")(ls)
    dlq.command("show")(show)
    dlq.command("replay")(replay)
    app.add_typer(dlq)


def ls(data_dir: DataDirOption = None, server: ServerOption = None, as_json: JsonOption = False) -> None:
    """List the dead letters, the oldest first."""
    run(_ls(as_json, data_dir, server))


async def _ls(as_json: bool, data_dir: Path | None, server: str | None) -> None:
    from actors.desk.connection import connected
    from actors.desk.record import pages
    from actors.desk.screen import note, out_json, out_table
    from bus.subjects import DLQ_STREAM

    async with connected(data_dir, server) as carrier:
        entries = [_told(stored) async for page in pages(carrier, DLQ_STREAM, "coo.dlq.>") for stored in page]
    if as_json:
        out_json(entries)
    elif entries:
        head = ["SEQ", "TIME", "MISSION", "MAILBOX", "MESSAGE", "REASON", "ERROR"]
        out_table(head, [_row(entry) for entry in entries])
    else:
        note("There are no dead letters.")


def _row(told: dict[str, Any]) -> tuple[str, ...]:
    kind = told["original"]["subject"].split(".")[4:5]
    message = f"{told['original']['seq']} {''.join(kind)}"
    time = told["time"][:19].replace("T", " ")
    return str(told["seq"]), time, told["mission"], told["mailbox"], message, told["reason"], told["error"]


def show(
    seq: SeqArgument,
    raw: Annotated[bool, typer.Option("--raw", help="Print the body's bytes and nothing else.")] = False,
    data_dir: DataDirOption = None,
    server: ServerOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show a dead letter: what failed where, why, and what it says."""
    run(_show(seq, raw, as_json, data_dir, server))


async def _show(seq: int, raw: bool, as_json: bool, data_dir: Path | None, server: str | None) -> None:
    import sys

    from actors.desk.connection import connected
    from actors.desk.screen import note, out_json

    async with connected(data_dir, server) as carrier:
        stored = await _find(carrier, seq)
        told = _told(stored)
        told["replays"], told["refused"] = await _replays(carrier, stored)
    if raw:
        sys.stdout.buffer.write(stored.body)
        sys.stdout.buffer.flush()
    elif as_json:
        out_json(told)
    else:
        _print(told)
        if not told["refused"]:
            note(f"Send it again: coo dlq replay {seq} (--dry-run shows what would be sent)")


async def _replays(carrier: Carrier, stored: Stored) -> tuple[int, str]:
    """Return how often an entry was replayed, or why it cannot be."""
    from bus.errors import BusError, NotPermitted

    try:
        return (await _prepared(carrier, _entry(stored)))[1] - 1, ""
    except NotPermitted:
        raise
    except (BusError, DeskError) as error:
        return 0, str(error)


def _print(told: dict[str, Any]) -> None:
    from actors.desk.screen import out, out_pairs, plain, plain_lines

    original = told["original"]
    place = f"{plain(original['subject'], 400)}, message {original['seq']} of {original['stream']}"
    out_pairs(
        {
            "dead letter": str(told["seq"]),
            "time": told["time"],
            "mission": plain(told["mission"]),
            "mailbox": plain(told["mailbox"]),
            "reason": plain(told["reason"]),
            "error": plain(told["error"], 1_000),
            "original": place,
            "replays": str(told["replays"]),
            "no replay": plain(told["refused"], 400),
        }
    )
    for title, text in (("traceback", told["traceback"]), ("body", told["body"])):
        if text:
            out(f"\n{title}\n{plain_lines(text).rstrip()}")


def replay(
    seq: SeqArgument,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be sent.")] = False,
    again: Annotated[bool, typer.Option("--again", help="Also if it was replayed before.")] = False,
    data_dir: DataDirOption = None,
    server: ServerOption = None,
    as_json: JsonOption = False,
) -> None:
    """Send the original of a dead letter again, as the log has it."""
    run(_replay(seq, dry_run, again, as_json, data_dir, server))


async def _replay(
    seq: int, dry_run: bool, again: bool, as_json: bool, data_dir: Path | None, server: str | None
) -> None:
    from actors.desk.connection import connected
    from bus.deadletters import ReplayRefused
    from bus.publisher import publish_surely

    async with connected(data_dir, server, _SENDER) as carrier:
        entry = _entry(await _find(carrier, seq))
        try:
            letter, n = await _prepared(carrier, entry)
        except ReplayRefused as error:
            raise DeskError(Exit.CONFLICT, _sentence(error), f"See it: coo dlq show {seq}.") from error
        if n > 1 and not again:
            what = f"Dead letter {seq} was replayed before ({n - 1} times)."
            raise DeskError(Exit.CONFLICT, what, f"Once more: coo dlq replay {seq} --again.")
        sent = None if dry_run else await publish_surely(carrier, letter)
    _tell_replay(entry, letter, n, sent, as_json)


def _tell_replay(entry: Entry, letter: Outgoing, n: int, sent: int | None, as_json: bool) -> None:
    from actors.desk.screen import note, out, out_json, plain, plain_lines
    from bus.subjects import COMPANY

    if as_json:
        told = {
            "dead_letter": entry.seq,
            "subject": letter.subject,
            "id": letter.id,
            "replay": n,
            "seq": sent,
        }
        out_json({**told, "dry_run": sent is None})
        return
    if sent is None:
        out(plain(letter.subject, 400))
        for name, value in letter.headers.items():
            out(f"{plain(name)}: {plain(value, 400)}")
        out(f"\n{plain_lines(letter.body.decode('utf-8', 'replace'))}")
        note("Nothing was sent.")
        return
    out(f"dead letter {entry.seq} replayed as message {sent}")
    if entry.mission != COMPANY:
        note(f"Now let the mission go on: coo resume {plain(entry.mission)}")


async def _find(carrier: Carrier, seq: int) -> Stored:
    from bus.subjects import DLQ_STREAM

    stored = await carrier.get(DLQ_STREAM, seq) if seq < 2**63 else None
    if stored is None:
        raise DeskError(Exit.NOT_FOUND, f"There is no dead letter {seq}.", "See them: coo dlq ls.")
    return stored


async def _prepared(carrier: Carrier, entry: Entry) -> tuple[Outgoing, int]:
    from bus import deadletters

    return await deadletters.replay(carrier, entry)


def _entry(stored: Stored) -> Entry:
    """Read an entry, whatever its writer put into its headers.

    Raises:
        DeskError: it cannot be read; nobody but its mailbox's process can have written that.
    """
    from bus.deadletters import entry_of

    try:
        return entry_of(stored)
    except (ValueError, TypeError, AttributeError) as error:
        what = f"Dead letter {stored.seq} is not one that the company writes: its headers cannot be read."
        raise DeskError(Exit.CONFLICT, what, f"See its bytes: coo dlq show {stored.seq} --raw.") from error


def _told(stored: Stored) -> dict[str, Any]:
    from bus.envelope import rfc3339
    from bus.subjects import MAIL_STREAM

    try:
        entry = _entry(stored)
    except DeskError as error:
        tokens = [*stored.subject.split("."), "", ""]
        mailbox, mission, subject, seq = tokens[2], tokens[3], "", 0
        reason, wrong, trace = "unreadable", error.what, ""
    else:
        mailbox, mission = entry.mailbox, entry.mission
        subject, seq = entry.original_subject, entry.original_seq
        reason, wrong, trace = entry.reason, entry.error, entry.traceback
    return {
        "seq": stored.seq,
        "time": rfc3339(stored.time_ns),
        "mission": mission,
        "mailbox": mailbox,
        "reason": reason,
        "error": wrong,
        "traceback": trace,
        "original": {"stream": MAIL_STREAM, "subject": subject, "seq": seq},
        "body": stored.body.decode("utf-8", "replace"),
    }


def _sentence(error: Exception) -> str:
    from actors.desk.screen import plain

    text = plain(str(error), 400)
    return text[:1].upper() + text[1:].rstrip(".") + "."
