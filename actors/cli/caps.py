"""`coo budget set` and `coo budget raise`: the company's limits, and the caps of one mission."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Annotated, Optional

import msgspec
import typer

from actors import messages as m
from actors.cli.connection import connected
from actors.cli.options import DataDirOption, JsonOption, ServerOption, run
from actors.cli.screen import out, out_json
from actors.desk.asking import answer_to, raised_to, say
from actors.desk.limits import known_limits, settings_limits
from actors.errors import Kind, UserError
from actors.money import usd
from actors.plain import plain
from actors.projections.record import find_mission, read_record
from actors.table import CALLERS
from bus.envelope import digest
from bus.subjects import COMPANY
from config.amounts import NotAnAmount, microusd

Text = Optional[str]


def set_limits(
    daily: Annotated[Text, typer.Option(metavar="USD", help="Most in one day (UTC). 0 is zero.")] = None,
    monthly: Annotated[Text, typer.Option(metavar="USD", help="Most in one month (UTC).")] = None,
    mission: Annotated[
        Text, typer.Option(metavar="USD", help="Cap of a mission sent without a budget.")
    ] = None,
    slots: Annotated[
        Optional[int],
        typer.Option(min=1, metavar="N", help="Missions worked on at once."),
    ] = None,
    data_dir: DataDirOption = None,
    server: ServerOption = None,
    as_json: JsonOption = False,
) -> None:
    """Set limits from now on.

    They hold until the settings themselves change.
    """
    given = {"day_microusd": daily, "month_microusd": monthly, "mission_microusd": mission}
    wanted = {name: _amount(text) for name, text in given.items() if text is not None}
    if slots is not None:
        wanted["slots"] = slots
    if not wanted:
        raise UserError(
            Kind.USAGE, "Nothing to set.", "Say --daily, --monthly or --mission USD, or --slots N."
        )
    run(_set(wanted, as_json, data_dir, server))


async def _set(wanted: dict[str, int], as_json: bool, data_dir: Path | None, server: str | None) -> None:
    async with connected(data_dir, server) as carrier:
        known = await known_limits(carrier)
        before = known[-1][1] if known else settings_limits()
        limits: m.Limits = msgspec.structs.replace(before, **wanted, origin="ceo")
        values = msgspec.json.encode(limits).decode()
        letter_id = digest("limits", "ceo", known[-1][0] if known else 0, values)
        await say(carrier, COMPANY, "budget", limits, letter_id)
    told = {
        "daily_usd": usd(limits.day_microusd),
        "monthly_usd": usd(limits.month_microusd),
        "mission_usd": usd(limits.mission_microusd),
    }
    if as_json:
        out_json({**told, "slots": limits.slots})
        return
    slots = "" if limits.slots is None else f"; {limits.slots} missions at once"
    out(
        f"daily ${told['daily_usd']}, monthly ${told['monthly_usd']}, a mission ${told['mission_usd']}{slots}"
    )


def raise_cap(
    wanted: Annotated[str, typer.Argument(metavar="MISSION", help="A mission, or the beginning of its id.")],
    amount: Annotated[Text, typer.Argument(metavar="+USD", help="By how much, as +1.00.")] = None,
    tokens: Annotated[
        Optional[list[str]],
        typer.Option(metavar="ROLE=+N", help="Raise the cap on a role's tokens, too. Repeatable."),
    ] = None,
    key: Annotated[Text, typer.Option("--id", metavar="KEY", help="Repeating a KEY changes nothing.")] = None,
    data_dir: DataDirOption = None,
    server: ServerOption = None,
    as_json: JsonOption = False,
) -> None:
    """Raise a mission's cap, or a role's cap on tokens.

    A mission that waits for that goes on.
    """
    more, by_role = _more(amount), _tokens(tokens or [])
    if not more and not by_role:
        raise UserError(
            Kind.USAGE, "Nothing to raise.", "Write +1.00 (US dollars), or --tokens engineer=+50000."
        )
    run(_raise(wanted, more, by_role, key, as_json, data_dir, server))


def _more(amount: str | None) -> int:
    if amount is None:
        return 0
    if not amount.startswith("+"):
        raise UserError(Kind.USAGE, "A cap can only be raised.", f"Write +{amount.lstrip('-')}.")
    more = _amount(amount[1:])
    if not more:
        raise UserError(Kind.USAGE, "A cap is raised by more than 0.00.", "Write +1.00 (US dollars).")
    return more


def _tokens(given: list[str]) -> dict[str, int]:
    by_role: dict[str, int] = {}
    for text in given:
        role, _, number = text.partition("=+")
        if role not in CALLERS or not number.isascii() or not number.isdigit():
            what = f"--tokens {plain(text, 40)} is not a raise of tokens."
            raise UserError(Kind.USAGE, what, "Write --tokens engineer=+50000 (coo, engineer or qa).")
        by_role[role] = by_role.get(role, 0) + min(int(number[:12]), 10**11)
    return {role: number for role, number in by_role.items() if number}


async def _raise(
    wanted: str,
    more: int,
    tokens: dict[str, int],
    key: str | None,
    as_json: bool,
    data_dir: Path | None,
    server: str | None,
) -> None:
    async with connected(data_dir, server) as carrier:
        record = await read_record(carrier, await find_mission(carrier, wanted))
        name = record.name
        if record.is_final:
            raise UserError(Kind.CONFLICT, f"{name} is {record.state}: it needs no more money.")
        unique = secrets.token_hex(16) if key is None else key
        raise_id = digest("raise", name, more, *(f"{k}={n}" for k, n in sorted(tokens.items())), unique)
        decision = m.Decision(digest=raise_id, verdict="approve", raise_microusd=more, raise_tokens=tokens)
        seq = await say(carrier, name, "approval", decision, raise_id)
        await answer_to(carrier, name, seq, "approval", lambda message: _is_approved(message))
        cap = await raised_to(carrier, name, raise_id, seq)
    if as_json:
        told = {"mission": name, "raised_by_usd": usd(more), "cap_usd": usd(cap), "raised_by_tokens": tokens}
        out_json(told)
        return
    extra = "".join(f", {number:,} more tokens for {role}" for role, number in sorted(tokens.items()))
    out(f"{name} has a cap of ${usd(cap)}{extra}")


def _is_approved(message: object) -> str | None:
    return "approved" if isinstance(message, m.Approved) else None


def _amount(text: str) -> int:
    try:
        return microusd(text)
    except NotAnAmount as error:
        raise UserError(
            Kind.USAGE, f"{plain(text, 40)} is not an amount.", "Write 2.00 (US dollars)."
        ) from error
