"""How many orders of a mission a performer has had, as the log has them: no mission gives orders for ever."""

from __future__ import annotations

from collections import OrderedDict

from bus import subjects
from bus.envelope import Mail
from bus.ports import Carrier
from bus.subjects import MAIL_STREAM

MOST_ORDERS = 5_000
"""Orders of one mission that a performer performs. As many more are answered as failed, then none."""

_MISSIONS = 1_000
"""Missions whose count is kept in memory; the others are counted again from the log."""


class Tally:
    """Counts the orders of one mailbox by mission. `kinds` are its orders."""

    def __init__(self, carrier: Carrier, mailbox: str, kinds: tuple[str, ...]) -> None:
        self._carrier = carrier
        self._mailbox = mailbox
        self._kinds = kinds
        self._counts: OrderedDict[str, tuple[int, int]] = OrderedDict()

    async def count(self, order: Mail) -> int:
        """Return how many orders its mission has given up to this one, or up to a later one known here."""
        position, count = self._counts.get(order.mission, (0, 0))
        if position < order.seq:
            for kind in self._kinds:
                count += await self._between(order, kind, position)
            self._counts[order.mission] = (order.seq, count)
        self._counts.move_to_end(order.mission)
        if len(self._counts) > _MISSIONS:
            self._counts.popitem(last=False)
        return count

    async def _between(self, order: Mail, kind: str, position: int) -> int:
        pattern, count = subjects.mail_filter(order.mission, self._mailbox, kind), 0
        while page := await self._carrier.read(MAIL_STREAM, pattern, position + 1):
            count += sum(stored.seq <= order.seq for stored in page)
            position = page[-1].seq
            if position >= order.seq:
                break
        return count
