"""`coo dlq`: mail that could not be decided, why, and sending it again."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from actors.cli.connection import connected
from actors.cli.options import DataDirOption, JsonOption, ServerOption, group, run
from actors.cli.replay import replay
from actors.cli.screen import note, out, out_json, out_pairs, out_table
from actors.desk.dead import entry_in, find
from actors.errors import UserError
from actors.money import usd
from actors.plain import plain, plain_lines
from actors.projections.guard import read_books
from actors.terminal import write_raw
from bus import deadletters
from bus.envelope import Stored, rfc3339
from bus.errors import BusError, NotPermitted
from bus.ports import Carrier
from bus.reading import pages
from bus.subjects import DLQ_STREAM, EVERY_DEAD_LETTER, MAIL_STREAM, entombed_by, parts_of

SeqArgument = Annotated[int, typer.Argument(metavar="SEQ", min=1, help="The number that `coo dlq ls` shows.")]


def ls(data_dir: DataDirOption = None, server: ServerOption = None, as_json: JsonOption = False) -> None:
    """List the dead letters, the oldest first."""
    run(_ls(as_json, data_dir, server))


async def _ls(as_json: bool, data_dir: Path | None, server: str | None) -> None:
    async with connected(data_dir, server) as carrier:
        entries = [
            _told(stored) async for page in pages(carrier, DLQ_STREAM, EVERY_DEAD_LETTER) for stored in page
        ]
    if as_json:
        out_json(entries)
    elif entries:
        head = ["SEQ", "TIME", "MISSION", "MAILBOX", "MESSAGE", "REASON", "ERROR"]
        out_table(head, [_row(entry) for entry in entries])
    else:
        note("There are no dead letters.")


def _row(told: dict[str, Any]) -> tuple[str, ...]:
    message = f"{told['original']['seq']} {parts_of(told['original']['subject']).kind}"
    time = told["time"][:19].replace("T", " ")
    return str(told["seq"]), time, told["mission"], told["mailbox"], message, told["reason"], told["error"]


def show(
    seq: SeqArgument,
    raw: Annotated[bool, typer.Option("--raw", help="Print the body's bytes and nothing else.")] = False,
    data_dir: DataDirOption = None,
    server: ServerOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show a dead letter: what failed, where, why, and its text."""
    run(_show(seq, raw, as_json, data_dir, server))


async def _show(seq: int, raw: bool, as_json: bool, data_dir: Path | None, server: str | None) -> None:
    async with connected(data_dir, server) as carrier:
        stored = await deadletters.whole(carrier, await find(carrier, seq))
        told = _told(stored)
        told["history"], told["refused"] = await _history(carrier, stored)
        told["replays"] = len(told["history"])
        told["cost_so_far_usd"] = await _cost_until(carrier, told["mission"], stored.time_ns)
    if raw:
        write_raw(sys.stdout, stored.text)
    elif as_json:
        out_json(told)
    else:
        _print(told)
        if not told["refused"]:
            note(f"Send it again: coo dlq replay {seq} (--dry-run shows what would be sent)")


async def _history(carrier: Carrier, stored: Stored) -> tuple[list[dict[str, Any]], str]:
    """Return the replays of an entry, or why it cannot be replayed."""
    try:
        found = await deadletters.history(carrier, entry_in(stored))
    except NotPermitted:
        raise
    except (BusError, UserError) as error:
        return [], str(error)
    changed = [again.body != stored.body for again in found]
    return [
        {"seq": again.seq, "time": rfc3339(again.time_ns), "edited": edited}
        for again, edited in zip(found, changed, strict=True)
    ], ""


def _print(told: dict[str, Any]) -> None:
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
            "cost so far": f"{told['cost_so_far_usd']} USD",
            "replays": ", ".join(map(_replayed, told["history"])) or "none",
            "no replay": plain(told["refused"], 400),
        }
    )
    for title, text in (("traceback", told["traceback"]), ("body", told["body"])):
        if text:
            out(f"\n{title}\n{plain_lines(text).rstrip()}")


async def _cost_until(carrier: Carrier, mission: str, time_ns: int) -> str:
    """Return what a mission had cost when the letter died, from the log: its writer knows no money."""
    books = await read_books(carrier)
    return usd(
        sum(entry.posted for entry in books.entries if entry.mission == mission and entry.time_ns <= time_ns)
    )


def _replayed(again: dict[str, Any]) -> str:
    edited = ", edited" if again["edited"] else ""
    return f"message {again['seq']} ({again['time'][:19].replace('T', ' ')}{edited})"


def _told(stored: Stored) -> dict[str, Any]:
    try:
        entry = entry_in(stored)
    except UserError as error:
        (mailbox, mission), subject, seq = entombed_by(stored.subject), "", 0
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
        "body": stored.text.decode("utf-8", "replace"),
    }


GROUP = group()
GROUP.command("ls")(ls)
GROUP.command("show")(show)
GROUP.command("replay")(replay)
