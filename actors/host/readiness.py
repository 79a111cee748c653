"""Whether every actor serves: each of its mailboxes has open requests for mail."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping

from actors.errors import Kind, UserError
from bus.jetstream import JetStreamCarrier
from bus.subjects import MAIL_STREAM

_POLL_S = 0.03


async def until_serving(
    admin: JetStreamCarrier, before: Mapping[str, int], replicas: int, lost: Mapping[str, str]
) -> None:
    """Wait until every process has asked its mailboxes for mail; `before` is who asked without them.

    Raises:
        UserError: one is in `lost`, with the reason: it was given up before it did.
    """
    asked = dict(before)  # on somebody else's server others may ask too, and requests of the dead run out
    while asked or lost:
        for name, reason in lost.items():
            what = f"{name} does not start: {reason}."
            raise UserError(Kind.UNREACHABLE, what, f"See why: coo logs {name}")
        for name, now in (await waiting(admin, asked)).items():
            if now >= asked[name] + replicas:
                del asked[name]
            else:
                asked[name] = min(asked[name], now)
        await asyncio.sleep(_POLL_S)


async def waiting(admin: JetStreamCarrier, mailboxes: Iterable[str]) -> dict[str, int]:
    """Return how many requests for mail are open at each mailbox."""
    infos = {name: f"$JS.API.CONSUMER.INFO.{MAIL_STREAM}.{name}" for name in mailboxes}
    return {name: (await admin.api(info, {})).get("num_waiting", 0) for name, info in infos.items()}
