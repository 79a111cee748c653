"""Serving until told to stop, or until something that ends the process."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable


async def until_stopped(stop: asyncio.Event, *failures: Awaitable[BaseException]) -> None:
    """Return when `stop` is set. Each of `failures` is awaited beside it, and returns what to raise.

    Raises:
        BaseException: what one of the failures returned or raised.
    """
    stopped = asyncio.ensure_future(stop.wait())
    waits = [asyncio.ensure_future(failure) for failure in failures]
    try:
        await asyncio.wait([stopped, *waits], return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            if wait.done():
                raise wait.result()
    finally:
        for one in (stopped, *waits):
            one.cancel()
