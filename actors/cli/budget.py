"""`coo budget`: what was spent, is held and is left; the ledger itself."""

from __future__ import annotations

import csv
import sys
from pathlib import Path
from typing import Annotated, Any, Optional

import typer

from actors.cli.caps import raise_cap, set_limits
from actors.cli.connection import connected
from actors.cli.missions import MissionArgument
from actors.cli.options import DataDirOption, JsonOption, ServerOption, group, run
from actors.cli.screen import note, out_json, out_table
from actors.days import day_of
from actors.money import usd
from actors.projections.balances import Balance, Entry
from actors.projections.books import Books
from actors.projections.guard import read_books
from actors.projections.record import find_mission
from bus.envelope import rfc3339

Text = Optional[str]

_HEAD = ("TIME", "MISSION", "ATTEMPT", "BY", "WHAT", "POSTED", "PENDING", "DAY", "ASIDE")


# -- seeing ---------------------------------------------------------------------------------------------


def budget(
    context: typer.Context,
    data_dir: DataDirOption = None,
    server: ServerOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show today, this month (UTC) and every mission: spent, held, in doubt, of how much."""
    if context.invoked_subcommand is None:
        run(_budget(as_json, data_dir, server))


async def _budget(as_json: bool, data_dir: Path | None, server: str | None) -> None:
    async with connected(data_dir, server) as carrier:
        books = await read_books(carrier)
        today = day_of(carrier.now_ns())
    told = [told_of(name, balance) for name, balance in _shown(books, today)]
    if as_json:
        out_json({"currency": "USD", "accounts": told, "waiting": len(books.waiting)})
        return
    head = ["ACCOUNT", "SPENT", "IN DOUBT", "HELD", "LEFT", "OF"]
    names = ("account", "spent_usd", "in_doubt_usd", "held_usd", "left_usd", "limit_usd")
    out_table(head, [tuple(one[name] for name in names) for one in told])
    if books.limits is None:
        note("There are no limits yet, so nothing is granted: coo budget set, or coo up.")
    if books.waiting:
        note(f"{len(books.waiting)} holds wait for others to be settled.")


def _shown(books: Books, today: str) -> list[tuple[str, Balance]]:
    """Return today, this month, then the missions in the order they were opened."""
    limits = books.limits
    day = books.accounts.get(f"day:{today}", Balance())
    month = books.accounts.get(f"month:{today[:7]}", Balance())
    percent = limits.margin_percent if limits else 0
    day.bound(limits.day_microusd if limits else 0, percent)
    month.bound(limits.month_microusd if limits else 0, percent)
    missions = [(name, account) for name, account in books.accounts.items() if name.startswith("mission:")]
    return [(f"day:{today}", day), (f"month:{today[:7]}", month), *missions]


def told_of(name: str, balance: Balance) -> dict[str, str]:
    """Return an account as strings of exact dollars."""
    limit = balance.limit or 0
    return {
        "account": name,
        "spent_usd": usd(balance.posted),
        "in_doubt_usd": usd(balance.in_doubt),
        "held_usd": usd(balance.pending),
        "left_usd": usd(max(0, limit - balance.kept - balance.posted - balance.pending)),
        "limit_usd": usd(limit),
        "peak_usd": usd(balance.peak),
    }


# -- the ledger -----------------------------------------------------------------------------------------


def ledger(
    wanted: MissionArgument = None,
    csv: Annotated[bool, typer.Option("--csv", help="Print comma-separated values.")] = False,
    data_dir: DataDirOption = None,
    server: ServerOption = None,
    as_json: JsonOption = False,
) -> None:
    """Print every entry of the ledger, of one mission or of all.

    What moved, when, and for which attempt.
    """
    run(_ledger(wanted, csv, as_json, data_dir, server))


async def _ledger(
    wanted: str | None, as_csv: bool, as_json: bool, data_dir: Path | None, server: str | None
) -> None:
    async with connected(data_dir, server) as carrier:
        name = await find_mission(carrier, wanted) if wanted else None
        books = await read_books(carrier)
    rows = [_row(entry) for entry in books.entries if name in (None, entry.mission)]
    if as_json:
        out_json([dict(zip(map(str.lower, _HEAD), row, strict=True)) for row in rows])
    elif as_csv:
        _print_csv(rows)
    else:
        out_table(_HEAD, rows)


def _print_csv(rows: list[tuple[str, ...]]) -> None:
    writer: Any = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(map(str.lower, _HEAD))
    writer.writerows(rows)


def _row(entry: Entry) -> tuple[str, ...]:
    amounts = (usd(entry.posted), usd(entry.pending))
    return (
        rfc3339(entry.time_ns),
        entry.mission,
        entry.attempt,
        entry.by,
        entry.what,
        *amounts,
        entry.day,
        usd(entry.aside),
    )


GROUP = group(no_args_is_help=False)
GROUP.callback(invoke_without_command=True)(budget)
GROUP.command("set")(set_limits)
GROUP.command("raise", context_settings={"ignore_unknown_options": True})(raise_cap)
GROUP.command("ledger")(ledger)
