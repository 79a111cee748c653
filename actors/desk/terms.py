"""The company's settings as missions take them: published in the log by `coo up`, read by `coo mission`.

A terminal's own file or variables never decide over a company's mission: what differs there is said.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import msgspec

from actors import messages as m
from actors.desk.limits import send_limits
from actors.desk.storage import refusal
from actors.errors import Kind, UserError
from actors.table import TABLE
from bus import subjects
from bus.envelope import Stored, digest, open_letter, readable
from bus.errors import NotPermitted
from bus.loops.publisher import publish_surely
from bus.ports import Carrier
from bus.subjects import COMPANY, MAIL_STREAM

if TYPE_CHECKING:
    from config.settings import Origin, Settings

KEYS = {
    "models": "models.roles",
    "max_output_tokens": "models.catalog",
    "ask_release": "approvals.ask",
    "ask_raise": "approvals.ask",
    "on_new_day": "approvals.on_new_day",
    "max_rounds": "mission.max_rounds",
    "max_loops": "mission.max_loops",
    "max_messages": "mission.max_messages",
    "max_tasks": "mission.max_tasks",
    "deadline_s": "mission.deadline_s",
    "pause_timeout_s": "mission.pause_timeout_s",
    "approval_timeout_s": "approvals.timeout_s",
    "run_timeout_s": "mission.run_timeout_s",
    "margin_percent": "limits.safety_margin_percent",
    "call_tokens": "mission.call_tokens",
    "role_tokens": "mission.role_tokens",
    "park_after_s": "mission.park_after_s",
    "evidence": "approvals.evidence",
}
"""The setting behind each of a mission's terms; `priority` is the order's own."""

_SEND_S = 15.0
"""Longer than two answers of a busy server take."""

_CAP = "limits.mission_usd"
_PACKAGED = "config/"
_MOST_NAMED = 5


def company_settings(settings: Settings) -> m.CompanySettings:
    """Return what the settings say about every mission."""
    models: dict[str, str] = settings.models.roles.model_dump()
    offered = {name: model.max_output_tokens for name, model in settings.models.catalog.items()}
    mission = settings.mission
    terms = m.Terms(
        models=models,
        max_output_tokens=max(offered[name] for name in models.values()),
        ask_release="release" in settings.approvals.ask,
        ask_raise="raise" in settings.approvals.ask,
        on_new_day=settings.approvals.on_new_day,
        max_rounds=mission.max_rounds,
        max_loops=mission.max_loops,
        max_messages=mission.max_messages,
        max_tasks=mission.max_tasks,
        deadline_s=mission.deadline_s,
        pause_timeout_s=mission.pause_timeout_s,
        approval_timeout_s=settings.approvals.timeout_s,
        run_timeout_s=mission.run_timeout_s,
        margin_percent=settings.limits.safety_margin_percent,
        call_tokens=mission.call_tokens,
        role_tokens={role: cap for role, cap in mission.role_tokens if cap is not None},
        park_after_s=mission.park_after_s,
        evidence=settings.approvals.evidence,
    )
    return m.CompanySettings(terms=terms, mission_microusd=settings.limits.mission_microusd, models=offered)


async def tell_settings(ceo: Carrier, settings: Settings) -> None:
    """Send what the settings say of money and missions, and the log does not.

    Raises:
        UserError: the server does not take it, or has no accounts that may send it.
    """
    try:
        async with asyncio.timeout(_SEND_S):
            await send_limits(ceo, settings)
            await send_settings(ceo, settings)
    except NotPermitted as error:
        fix = "Its accounts are of an older coo: include those of coo setup --print-conf."
        raise UserError(Kind.UNREACHABLE, f"{error}.", fix) from error
    except TimeoutError as error:
        why = await refusal(ceo, "ceo") or "no answer"
        what = f"The server does not store the company's settings ({why})."
        raise UserError(Kind.UNREACHABLE, what, "Make room there, or use another server.") from error


async def send_settings(carrier: Carrier, settings: Settings) -> int | None:
    """Publish what the settings say about missions, unless the log says so; return its sequence if sent."""
    known, wanted = await _newest(carrier), company_settings(settings)
    if known is not None and _opened(known) == wanted:
        return None
    values = msgspec.json.encode(wanted).decode()
    letter = open_letter(
        TABLE,
        sender="ceo",
        to="ceo",
        mission=COMPANY,
        message=wanted,
        id=digest("settings", values, known.seq if known else 0),
        time_ns=carrier.now_ns(),
    )
    return await publish_surely(carrier, letter)


async def counting(carrier: Carrier, own: Settings) -> tuple[m.CompanySettings, str]:
    """Return the settings that count for a mission, and a line on those that do not ("" if there are none).

    A company that published none was never started by a `coo up` that does: then the terminal's count.

    Raises:
        UserError: as `published_settings`.
    """
    from config.settings import origins  # takes long to import

    ours, company = company_settings(own), await published_settings(carrier)
    if company is None:
        return ours, "this company has published no settings (coo up does): this terminal's count"
    return company, "" if company == ours else overruled(company, ours, origins())


async def published_settings(carrier: Carrier) -> m.CompanySettings | None:
    """Return the newest settings that a company published; None: none ever did.

    Raises:
        UserError: the newest cannot be read, so nobody here knows what a mission may do.
    """
    known = await _newest(carrier)
    if known is None:
        return None
    found = _opened(known)
    if found is None:
        what = f"The company's settings (sequence {known.seq}) cannot be read by this version of coo."
        raise UserError(Kind.CONFLICT, what, "Use the version that runs the company, or newer.")
    return found


async def _newest(carrier: Carrier) -> Stored | None:
    return await carrier.last(MAIL_STREAM, subjects.mail(COMPANY, "ceo", "settings", "ceo"))


def _opened(stored: Stored) -> m.CompanySettings | None:
    mail = readable(TABLE, stored)
    return mail.message if mail is not None and isinstance(mail.message, m.CompanySettings) else None


def overruled(company: m.CompanySettings, own: m.CompanySettings, origins: list[Origin]) -> str:
    """Say in one line which settings of this terminal's own the company's win over; "" when none do.

    `origins` say where each of the terminal's settings stands: the packaged ones are nobody's own.
    """
    keys = {key for name, key in KEYS.items() if getattr(company.terms, name) != getattr(own.terms, name)}
    if company.mission_microusd != own.mission_microusd:
        keys.add(_CAP)
    told = [
        f"{origin.key} ({origin.place})"
        for origin in origins
        if origin.place is not None
        and not str(origin.place).startswith(_PACKAGED)
        and any(origin.key == key or origin.key.startswith(f"{key}.") for key in keys)
    ]
    if not told:
        return ""
    more = f" and {len(told) - _MOST_NAMED} more" if len(told) > _MOST_NAMED else ""
    return f"the company's settings count, not this terminal's {', '.join(told[:_MOST_NAMED])}{more}"
