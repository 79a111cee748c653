"""How performers learn that a mission is paused or over: they read its states in the log."""

from __future__ import annotations

import asyncio
from typing import NamedTuple

from bus import subjects
from bus.envelope import Stored, readable
from bus.ports import Carrier
from bus.subjects import MAIL_STREAM
from bus.table import Halts, Table


class Halt(NamedTuple):
    """The state by which the work of a mission stops: where it was decided, and whether it is final."""

    at: int
    final: bool


class Watch:
    """Follows the states of one mission."""

    def __init__(self, halts: Halts, table: Table, carrier: Carrier, mission: str) -> None:
        self._halts = halts
        self._table = table
        self._carrier = carrier
        self._pattern = subjects.mail_filter(mission, halts.to, halts.kind, halts.sender)
        self._start = 1
        self._newest = -1
        self._halt: Halt | None = None

    async def look(self) -> Halt | None:
        """Read the log to its end, and return the newest state if by that work stops."""
        while page := await self._carrier.read(MAIL_STREAM, self._pattern, self._start):
            for stored in page:
                self._start = stored.seq + 1
                self._note(stored)
        return self._halt

    def _note(self, stored: Stored) -> None:
        mail = readable(self._table, stored)
        if mail is None:
            return  # it says nothing to anybody
        message = mail.message
        at = self._halts.at(message)
        if at >= self._newest:
            self._newest = at
            self._halt = Halt(at, self._halts.final(message)) if self._halts.halted(message) else None

    async def halted(self, every_s: float) -> Halt:
        """Wait until work stops; the log is read as often as told."""
        while (halt := await self.look()) is None:
            await asyncio.sleep(every_s)
        return halt
