"""Whether the server's store takes anything: a server that is full refuses, and only who publishes hears it.

The question is a write that can store nothing: the same small blob again, under a subject that holds it. A
store that could take it refuses because it is there; a full one refuses because it is full.
"""

from __future__ import annotations

import hashlib

from bus import subjects
from bus.envelope import Outgoing
from bus.errors import BusError, Occupied, StoreRefused, Unknown
from bus.ports import Carrier

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
