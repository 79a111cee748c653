"""Watching whether the server's store takes anything, for the company that `coo up` runs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from actors.desk.storage import refusal
from actors.host.supervisor import ProcessEvent
from bus.ports import Carrier

NAME = "store"

_LOOK_S = 2.0


async def watch_store(carrier: Carrier, principal: str, on_event: Callable[[ProcessEvent], None]) -> None:
    """Tell when the server stores nothing, and when it does again, until cancelled.

    One refusal alone is nothing: the connection may just have been lost.
    """
    told, before = False, ""
    while True:
        why = await refusal(carrier, principal)
        if why and before and not told:
            told = True
            on_event(ProcessEvent("stuck", NAME, None, None, why))
        elif told and not why:
            told = False
            on_event(ProcessEvent("started", NAME, None))
        before = why
        await asyncio.sleep(_LOOK_S)
