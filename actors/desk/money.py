"""`coo budget`: what was spent, is held and is left; setting limits, raising caps, the ledger itself."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

from actors.desk.errors import DeskError, Exit
from actors.desk.main import DataDirOption, JsonOption, ServerOption, run
from actors.desk.missions import MissionArgument

if TYPE_CHECKING:
    from actors.desk.books import Balance, Books, Entry

Text = Optional[str]  # noqa: UP045 - typer reads annotations at run time

_HEAD = ("TIME", "MISSION", "ATTEMPT", "BY", "WHAT", "POSTED", "PENDING", "DAY")


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
    from actors.desk.books import read_books
    from actors.desk.connection import connected
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
    from actors.desk.books import Balance

    limits = books.limits
    day = books.accounts.get(f"day:{today}", Balance())
    month = books.accounts.get(f"month:{today[:7]}", Balance())
    day.limit = limits.day_microusd if limits else 0
    month.limit = limits.month_microusd if limits else 0
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
        "left_usd": usd(max(0, limit - balance.posted - balance.pending)),
        "limit_usd": usd(limit),
        "peak_usd": usd(balance.peak),
    }


# -- setting --------------------------------------------------------------------------------------------


def set_limits(
    daily: Annotated[Text, typer.Option(metavar="USD", help="Most in one day (UTC). 0 is zero.")] = None,
    monthly: Annotated[Text, typer.Option(metavar="USD", help="Most in one month (UTC).")] = None,
    mission: Annotated[
        Text, typer.Option(metavar="USD", help="Cap of a mission sent without a budget.")
    ] = None,
    data_dir: DataDirOption = None,
    server: ServerOption = None,
    as_json: JsonOption = False,
) -> None:
    """Set limits from now on, until the settings themselves change."""
    given = {"day_microusd": daily, "month_microusd": monthly, "mission_microusd": mission}
    wanted = {name: _amount(text) for name, text in given.items() if text is not None}
    if not wanted:
        raise DeskError(Exit.USAGE, "Nothing to set.", "Say --daily, --monthly or --mission USD.")
    run(_set(wanted, as_json, data_dir, server))


async def _set(wanted: dict[str, int], as_json: bool, data_dir: Path | None, server: str | None) -> None:
    import msgspec

    from actors import messages as m
    from actors.desk.asking import say
    from actors.desk.connection import connected
    from actors.desk.limits import known_limits, settings_limits
    from actors.desk.screen import out, out_json
    from actors.money import usd
    from bus.envelope import digest
    from bus.subjects import COMPANY

    async with connected(data_dir, server) as carrier:
        known = await known_limits(carrier)
        before = known[-1][1] if known else settings_limits()
        limits: m.Limits = msgspec.structs.replace(before, **wanted, origin="ceo")
        values = (limits.day_microusd, limits.month_microusd, limits.mission_microusd)
        letter_id = digest("limits", "ceo", known[-1][0] if known else 0, *values)
        await say(carrier, COMPANY, "budget", limits, letter_id)
    told = {
        "daily_usd": usd(limits.day_microusd),
        "monthly_usd": usd(limits.month_microusd),
        "mission_usd": usd(limits.mission_microusd),
    }
    if as_json:
        out_json(told)
        return
    out(f"daily ${told['daily_usd']}, monthly ${told['monthly_usd']}, a mission ${told['mission_usd']}")


def raise_cap(
    wanted: Annotated[str, typer.Argument(metavar="MISSION", help="A mission, or the beginning of its id.")],
    amount: Annotated[str, typer.Argument(metavar="+USD", help="By how much, as +1.00.")],
    key: Annotated[Text, typer.Option("--id", metavar="KEY", help="Repeating a KEY changes nothing.")] = None,
    data_dir: DataDirOption = None,
    server: ServerOption = None,
    as_json: JsonOption = False,
) -> None:
    """Raise a mission's cap; one that waits for money goes on."""
    if not amount.startswith("+"):
        raise DeskError(Exit.USAGE, "A cap can only be raised.", f"Write +{amount.lstrip('-')}.")
    more = _amount(amount[1:])
    if not more:
        raise DeskError(Exit.USAGE, "A cap is raised by more than 0.00.", "Write +1.00 (US dollars).")
    run(_raise(wanted, more, key, as_json, data_dir, server))


async def _raise(
    wanted: str, more: int, key: str | None, as_json: bool, data_dir: Path | None, server: str | None
) -> None:
    import secrets

    from actors import messages as m
    from actors.desk.asking import answer_to, raised_to, say
    from actors.desk.connection import connected
    from actors.desk.record import find_mission, read_record
    from actors.desk.screen import out, out_json
    from actors.money import usd
    from bus.envelope import digest

    async with connected(data_dir, server) as carrier:
        record = await read_record(carrier, await find_mission(carrier, wanted))
        name = record.name
        if record.is_final:
            raise DeskError(Exit.CONFLICT, f"{name} is {record.state}: it needs no more money.")
        raise_id = digest("raise", name, more, secrets.token_hex(16) if key is None else key)
        decision = m.Decision(digest=raise_id, verdict="approve", raise_microusd=more)
        seq = await say(carrier, name, "approval", decision, raise_id)
        await answer_to(carrier, name, seq, "approval", lambda message: _is_approved(message))
        cap = await raised_to(carrier, name, raise_id, seq)
    if as_json:
        out_json({"mission": name, "raised_by_usd": usd(more), "cap_usd": usd(cap)})
        return
    out(f"{name} has a cap of ${usd(cap)}")


def _is_approved(message: object) -> str | None:
    from actors import messages as m

    return "approved" if isinstance(message, m.Approved) else None


def _amount(text: str) -> int:
    from actors.desk.screen import plain
    from actors.money import NotAnAmount, parse_usd

    try:
        return parse_usd(text)
    except (NotAnAmount, ArithmeticError) as error:
        raise DeskError(
            Exit.USAGE, f"{plain(text, 40)} is not an amount.", "Write 2.00 (US dollars)."
        ) from error


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
    from actors.desk.books import read_books
    from actors.desk.connection import connected
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
    )
