"""Whether the server's store takes anything: a server that is full refuses, and only who publishes hears it.

The question is a write that can store nothing: the same small blob again, under a subject that holds it. A
store that could take it refuses because it is there; a full one refuses because it is full.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable

from actors.supervisor import ProcessEvent
from bus import subjects
from bus.envelope import Outgoing
from bus.errors import BusError, Occupied, StoreRefused, Unknown
from bus.ports import Carrier

NAME = "store"

_LOOK_S = 2.0
_CONTENT = b"Does this store take anything?"
_FULL = "insufficient resources"


async def refusal(carrier: Carrier, principal: str) -> str:
    """Return why the store takes nothing, as the server words it; "" if it takes something."""
    subject = subjects.blob_chunk(principal, hashlib.sha256(_CONTENT).hexdigest(), 0)
    try:
        await carrier.publish(Outgoing(subject, {}, _CONTENT))
    except Occupied:
        return ""
    except (StoreRefused, Unknown) as error:
        why = str(error).removeprefix(f"{subject}: ")
        return f"{why}: its file limit (max_file_store) is reached" if _FULL in why else why
    except BusError:  # who may not ask cannot know
        return ""
    return ""


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
