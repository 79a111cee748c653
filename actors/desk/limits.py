"""The company's limits: what the settings say, what the log holds, and which of both is in force."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from actors import messages as m
from actors.desk.configuration import load_settings
from actors.table import TABLE
from bus import subjects
from bus.envelope import digest, open_letter, readable
from bus.loops.publisher import publish_surely
from bus.ports import Carrier
from bus.reading import pages
from bus.subjects import COMPANY, MAIL_STREAM

if TYPE_CHECKING:
    from config.settings import Settings


def settings_limits(settings: Settings | None = None) -> m.Limits:
    """Return the limits that the settings say."""
    limits = (settings or load_settings()).limits
    return m.Limits(
        day_microusd=limits.daily_microusd,
        month_microusd=limits.monthly_microusd,
        mission_microusd=limits.mission_microusd,
        margin_percent=limits.safety_margin_percent,
        call_tokens=limits.call_tokens,
        slots=limits.slots,
    )


async def known_limits(carrier: Carrier) -> list[tuple[int, m.Limits]]:
    """Return all limits there ever were, with their sequences, the newest last."""
    found = []
    pattern = subjects.mail_filter(COMPANY, "budget", "limits", "ceo")
    async for page in pages(carrier, MAIL_STREAM, pattern):
        for stored in page:
            mail = readable(TABLE, stored)
            if mail is not None and isinstance(mail.message, m.Limits):
                found.append((stored.seq, mail.message))
    return found


async def send_limits(carrier: Carrier, settings: Settings) -> int | None:
    """Send what the settings say, unless it is in force, or the CEO has set limits since it was.

    Returns its sequence if it was sent.
    """
    known, wanted = await known_limits(carrier), settings_limits(settings)
    before = [limits for _, limits in known if limits.origin == "settings"]
    if before and before[-1] == wanted:
        return None  # they have not changed since they were sent; what the CEO said after that stands
    values = msgspec.json.encode(wanted).decode()
    letter = open_letter(
        TABLE,
        sender="ceo",
        to="budget",
        mission=COMPANY,
        message=wanted,
        id=digest("limits", values, known[-1][0] if known else 0),
        time_ns=carrier.now_ns(),
    )
    return await publish_surely(carrier, letter, patient=False)
