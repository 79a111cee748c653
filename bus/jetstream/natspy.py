"""nats-py, imported in one place, without its WebSocket transport, and without its way with cancellations."""

import asyncio
import sys
from collections.abc import Coroutine
from typing import Any, TypeVar

# nats-py imports aiohttp for its WebSocket transport alone, which costs every process 0.1 s of start.
_HIDDEN = "aiohttp" not in sys.modules
if _HIDDEN:
    sys.modules["aiohttp"] = None  # type: ignore[assignment]
import nats.errors
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

if _HIDDEN:
    del sys.modules["aiohttp"]

__all__ = ["Client", "Msg", "Subscription", "apart", "nats"]

T = TypeVar("T")


async def apart(work: Coroutine[Any, Any, T]) -> T:
    """Run code of nats-py in a task of its own, so that no cancellation of ours is lost in it.

    It waits with `asyncio.wait_for`, which before Python 3.12 drops a cancellation that comes together with
    the result, and some of its code catches them: a Ctrl-C at such a moment would have been ignored.
    """
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        task.cancel()
        await asyncio.wait({task})
        if not task.cancelled():
            task.exception()  # nobody waits for it any more
        raise
