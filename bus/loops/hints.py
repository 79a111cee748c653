"""Waiting for mail that no consumer delivers: it is read in the log, or heard of when it is stored.

The server tells whoever listens of mail that it has just stored. A word may get lost, so whoever waits also
looks into the log at intervals.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress

from bus.envelope import Stored
from bus.ports import Carrier

_FIRST_WAIT_S = 0.05
_LONGEST_WAIT_S = 0.5


class Hints:
    """Hears on one carrier of new mail for a mailbox."""

    def __init__(self, carrier: Carrier, mailbox: str) -> None:
        self._carrier = carrier
        self._mailbox = mailbox
        self._listening: asyncio.Task[None] | None = None
        self._waiting: set[Looking] = set()

    async def looking(self) -> Looking:
        """Return a wait between one look at the log and the next; close it at the end."""
        if self._listening is None:
            self._listening = asyncio.create_task(self._carrier.listen(self._mailbox, self._on_mail))
        await asyncio.shield(self._listening)
        looking = Looking(self._waiting)
        self._waiting.add(looking)
        return looking

    def _on_mail(self, stored: Stored) -> None:
        for looking in self._waiting:
            looking.hear(stored)


class Looking:
    """One who looks for mail: call `wait` after each look that found nothing."""

    def __init__(self, waiting: set[Looking]) -> None:
        self._waiting = waiting
        self._heard: list[Stored] = []
        self._came = asyncio.Event()
        self._clock = asyncio.get_running_loop().time
        self._every_s = _FIRST_WAIT_S
        self._look_at_s = self._clock() + self._every_s

    def hear(self, stored: Stored) -> None:
        self._heard.append(stored)
        self._came.set()

    async def wait(self) -> Sequence[Stored]:
        """Return what was heard since the wait before; nothing, if it is time to look into the log."""
        with suppress(TimeoutError):
            async with asyncio.timeout_at(self._look_at_s):
                await self._came.wait()
        heard, self._heard = self._heard, []
        self._came.clear()
        if self._clock() < self._look_at_s:
            return heard
        self._every_s = min(self._every_s * 2, _LONGEST_WAIT_S)
        self._look_at_s = self._clock() + self._every_s
        return ()

    def close(self) -> None:
        self._waiting.discard(self)
