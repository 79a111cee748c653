"""What `coo dlq replay` sends for a query: all of it is found before the first is sent, so that it ends."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import typer

from actors.cli.connection import connected
from actors.cli.exits import Exit
from actors.cli.screen import note, out, out_json
from actors.desk.dead import entry_in, find
from actors.errors import Kind, UserError
from actors.plain import plain
from bus import deadletters
from bus.deadletters import Entry
from bus.envelope import Outgoing
from bus.loops.publisher import publish_surely
from bus.ports import Carrier
from bus.reading import pages
from bus.subjects import DLQ_STREAM, EVERY_DEAD_LETTER
from bus.table import OPERATOR

ASKS_ABOVE = 20
"""More replays than this are asked about first."""


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
    limit: int | None
    as_json: bool


@dataclass
class Plan:
    """What a query comes to, found before anything is sent: no replay makes what it matches itself."""

    seqs: list[int] = field(default_factory=list)
    before: int = 0
    refused: list[str] = field(default_factory=list)
    cut: bool = False


async def replay_matching(wanted: Wanted, data_dir: Path | None, server: str | None) -> None:
    """Replay what matches now, each once however often this is repeated, and go on past what is refused."""
    async with connected(data_dir, server, OPERATOR) as carrier:
        plan = await _plan(carrier, wanted)
        if not wanted.dry_run and not _agreed_to_many(len(plan.seqs), wanted.yes):
            note("Nothing was sent.")
            raise typer.Exit(int(Exit.USAGE))
        done = await _send(carrier, wanted, plan)
    for what in plan.refused:
        note(plain(what, 400))
    word = "would be replayed" if wanted.dry_run else "replayed"
    more = "; more match than --limit" if plan.cut else ""
    note(f"{done} {word}, {plan.before} were before, {len(plan.refused)} refused{more}")
    if plan.refused:
        raise typer.Exit(int(Exit.CONFLICT))


async def _plan(carrier: Carrier, wanted: Wanted) -> Plan:
    """Look at everything that matches; only its numbers are kept."""
    plan = Plan()
    async for entry in _matching(carrier, wanted):
        try:
            _, n = await deadletters.replay(carrier, entry)
        except deadletters.ReplayRefused as error:
            plan.refused.append(sentence(error))
            continue
        if n > 1 and not wanted.again:
            plan.before += 1
        elif len(plan.seqs) == wanted.limit:
            plan.cut = True
            break
        else:
            plan.seqs.append(entry.seq)
    return plan


def _agreed_to_many(count: int, yes: bool) -> bool:
    """Ask about more than a few; where nobody can be asked they need --yes.

    Raises:
        UserError: nobody can be asked.
    """
    if yes or count <= ASKS_ABOVE:
        return True
    if not sys.stdin.isatty():
        what = f"{count} dead letters match; more than {ASKS_ABOVE} at once need --yes."
        raise UserError(Kind.USAGE, what, "See them: --dry-run. Send fewer: --limit N.")
    return confirmed(f"Replay {count} dead letters?")


async def _send(carrier: Carrier, wanted: Wanted, plan: Plan) -> int:
    done = 0
    for seq in plan.seqs:
        entry = entry_in(await find(carrier, seq))
        letter, n = await deadletters.replay(carrier, entry)
        if n > 1 and not wanted.again:  # two dead letters of one message
            plan.before += 1
            continue
        sent = None if wanted.dry_run else await publish_surely(carrier, letter, patient=False)
        _tell_line(entry, letter, n, sent, wanted.as_json)
        done += 1
        if sent is not None:
            await asyncio.sleep(1 / wanted.rate)
    return done


async def _matching(carrier: Carrier, wanted: Wanted) -> AsyncIterator[Entry]:
    oldest_ns = carrier.now_ns() - wanted.since_s * 10**9 if wanted.since_s is not None else 0
    async for page in pages(carrier, DLQ_STREAM, EVERY_DEAD_LETTER):
        for stored in page:
            try:
                entry = entry_in(stored)
            except UserError:
                continue  # forged beyond reading; `coo dlq ls` shows it
            if (
                entry.time_ns >= oldest_ns
                and wanted.mailbox in (None, entry.mailbox)
                and wanted.mission in (None, entry.mission)
                and wanted.reason in (None, entry.reason)
            ):
                yield entry


def confirmed(question: str) -> bool:
    try:
        return typer.confirm(question, default=False, err=True)
    except typer.Abort:
        return False


def told_of(entry: Entry, letter: Outgoing, n: int, sent: int | None) -> dict[str, Any]:
    told = {"dead_letter": entry.seq, "subject": letter.subject, "id": letter.id, "replay": n, "seq": sent}
    return {**told, "dry_run": sent is None}


def _tell_line(entry: Entry, letter: Outgoing, n: int, sent: int | None, as_json: bool) -> None:
    if as_json:
        out_json(told_of(entry, letter, n, sent))
    else:
        what = "would be replayed" if sent is None else f"replayed as message {sent}"
        out(f"dead letter {entry.seq} {what}: {plain(letter.subject)}")


def sentence(error: Exception) -> str:
    text = plain(str(error), 400)
    return text[:1].upper() + text[1:].rstrip(".") + "."
