"""`coo budget set` and `coo budget raise`: the company's limits, and the caps of one mission."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from actors.desk.errors import DeskError, Exit
from actors.desk.main import DataDirOption, JsonOption, ServerOption, run

if TYPE_CHECKING:
    from actors import messages as m

Text = Optional[str]  # noqa: UP045 - typer reads annotations at run time


def set_limits(
    daily: Annotated[Text, typer.Option(metavar="USD", help="Most in one day (UTC). 0 is zero.")] = None,
    monthly: Annotated[Text, typer.Option(metavar="USD", help="Most in one month (UTC).")] = None,
    mission: Annotated[
        Text, typer.Option(metavar="USD", help="Cap of a mission sent without a budget.")
    ] = None,
    slots: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option(min=1, metavar="N", help="Missions worked on at once."),
    ] = None,
    data_dir: DataDirOption = None,
    server: ServerOption = None,
    as_json: JsonOption = False,
) -> None:
    """Set limits from now on, until the settings themselves change."""
    given = {"day_microusd": daily, "month_microusd": monthly, "mission_microusd": mission}
    wanted = {name: _amount(text) for name, text in given.items() if text is not None}
    if slots is not None:
        wanted["slots"] = slots
    if not wanted:
        raise DeskError(
            Exit.USAGE, "Nothing to set.", "Say --daily, --monthly or --mission USD, or --slots N."
        )
    run(_set(wanted, as_json, data_dir, server))


async def _set(wanted: dict[str, int], as_json: bool, data_dir: Path | None, server: str | None) -> None:
    import msgspec

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
        Optional[list[str]],  # noqa: UP045
        typer.Option(metavar="ROLE=+N", help="Raise the cap on a role's tokens, too. Repeatable."),
    ] = None,
    key: Annotated[Text, typer.Option("--id", metavar="KEY", help="Repeating a KEY changes nothing.")] = None,
    data_dir: DataDirOption = None,
    server: ServerOption = None,
    as_json: JsonOption = False,
) -> None:
    """Raise a mission's cap, or a role's cap on tokens; a mission that waits for that goes on."""
    more, by_role = _more(amount), _tokens(tokens or [])
    if not more and not by_role:
        raise DeskError(
            Exit.USAGE, "Nothing to raise.", "Write +1.00 (US dollars), or --tokens engineer=+50000."
        )
    run(_raise(wanted, more, by_role, key, as_json, data_dir, server))


def _more(amount: str | None) -> int:
    if amount is None:
        return 0
    if not amount.startswith("+"):
        raise DeskError(Exit.USAGE, "A cap can only be raised.", f"Write +{amount.lstrip('-')}.")
    more = _amount(amount[1:])
    if not more:
        raise DeskError(Exit.USAGE, "A cap is raised by more than 0.00.", "Write +1.00 (US dollars).")
    return more


def _tokens(given: list[str]) -> dict[str, int]:
    from actors.desk.screen import plain

    by_role: dict[str, int] = {}
    for text in given:
        role, _, number = text.partition("=+")
        if role not in ("coo", "engineer", "qa") or not number.isascii() or not number.isdigit():
            what = f"--tokens {plain(text, 40)} is no raise of tokens."
            raise DeskError(Exit.USAGE, what, "Write --tokens engineer=+50000 (coo, engineer or qa).")
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
