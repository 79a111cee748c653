"""`coo budget`: what was spent, is held and is left; the ledger itself."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

from actors.desk.caps import raise_cap, set_limits
from actors.desk.main import DataDirOption, JsonOption, ServerOption, run
from actors.desk.missions import MissionArgument

if TYPE_CHECKING:
    from actors.desk.balances import Balance, Entry
    from actors.desk.books import Books

Text = Optional[str]  # noqa: UP045 - typer reads annotations at run time

_HEAD = ("TIME", "MISSION", "ATTEMPT", "BY", "WHAT", "POSTED", "PENDING", "DAY", "ASIDE")


def register(app: typer.Typer) -> None:
    """Add `coo budget`."""
    group = typer.Typer(help="See what was spent and held, set limits, raise caps.")
    group.callback(invoke_without_command=True)(budget)
    group.command("set")(set_limits)
    group.command("raise", context_settings={"ignore_unknown_options": True})(raise_cap)
    group.command("ledger")(ledger)
    app.add_typer(group, name="budget")


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
    from actors.desk.connection import connected
    from actors.desk.guardmail import read_books
    from actors.desk.screen import note, out_json, out_table
    from bus.envelope import rfc3339

    async with connected(data_dir, server) as carrier:
        books = await read_books(carrier)
        today = rfc3339(carrier.now_ns())[:10]
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
    from actors.desk.balances import Balance

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
    from actors.money import usd

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
    """Print every entry of the ledger, of one mission or of all: what moved, when, for which attempt."""
    run(_ledger(wanted, csv, as_json, data_dir, server))


async def _ledger(
    wanted: str | None, as_csv: bool, as_json: bool, data_dir: Path | None, server: str | None
) -> None:
    from actors.desk.connection import connected
    from actors.desk.guardmail import read_books
    from actors.desk.record import find_mission
    from actors.desk.screen import out_json, out_table

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
    import csv
    import sys

    writer: Any = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(map(str.lower, _HEAD))
    writer.writerows(rows)


def _row(entry: Entry) -> tuple[str, ...]:
    from actors.money import usd
    from bus.envelope import rfc3339

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
