"""Waiting for mail that no consumer delivers: it is read in the log, and a hint says when to look.

A hint may get lost, so whoever waits also looks at intervals without one.
"""

from __future__ import annotations

import asyncio

from bus.ports import Carrier

_FIRST_WAIT_S = 0.05
_LONGEST_WAIT_S = 0.5


class Hints:
    """Hears on one carrier that there is new mail for a mailbox."""

    def __init__(self, carrier: Carrier, mailbox: str) -> None:
        self._carrier = carrier
        self._mailbox = mailbox
        self._listening: asyncio.Task[None] | None = None
        self.next = asyncio.Event()

    async def looking(self) -> Looking:
        """Return a wait between one look at the log and the next."""
        if self._listening is None:
            self._listening = asyncio.create_task(self._carrier.listen(self._mailbox, self._on_hint))
        await asyncio.shield(self._listening)
        return Looking(self)

    def _on_hint(self) -> None:
        self.next.set()
        self.next = asyncio.Event()


class Looking:
    """One who looks for mail: call `wait` after each look that found nothing."""

    def __init__(self, hints: Hints) -> None:
        self._hints = hints
        self.again()

    def again(self) -> None:
        """Begin anew: something was asked for just now."""
        self._wait_s = _FIRST_WAIT_S
        self._hint = self._hints.next

    async def wait(self) -> None:
        """Return when it is time to look: at a hint since the look before, else after a growing interval."""
        try:
            async with asyncio.timeout(self._wait_s):
                await self._hint.wait()
        except TimeoutError:
            self._wait_s = min(self._wait_s * 2, _LONGEST_WAIT_S)
        self._hint = self._hints.next
