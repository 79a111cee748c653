"""What the keys of one role loop have in common: its settings, what came to it, and what it works with."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from bus import deadletters, subjects
from bus.complaints import Decision
from bus.envelope import Outgoing, Stored
from bus.fold import Role
from bus.loops.past import Past
from bus.loops.poison import Deaths
from bus.loops.publisher import Publisher
from bus.loops.reporting import Reporter
from bus.loops.saving import Saver
from bus.ports import Carrier, Delivery
from bus.structured import structlog

log = structlog.get_logger("bus")

_SLICE_S = 0.001
"""Handler time after which the loop lets timers and acks run: a wider slice is paid for in repeats."""


@dataclass(frozen=True, kw_only=True)
class LoopSettings:
    """How a loop pulls and saves. `old_after_s`: mail older than this is published after a look at the log.

    It must be well below the duplicate window, since within that the server drops second copies.
    """

    window: int = 256
    ack_wait_s: float = 10.0
    checkpoint_every: int = 256
    old_after_s: float = 300.0
    drain_s: float = 8.0


class DeliveryPath:
    """Which deliveries reached this process without a gap.

    `known_from`: every mail of the mailbox after this sequence, up to the newest delivery, came here.
    """

    NOTHING = 2**63

    def __init__(self) -> None:
        self.known_from = self.NOTHING
        self._connection = -1
        self._last = -1

    def note(self, delivery: Delivery) -> None:
        unbroken = delivery.connection == self._connection and delivery.consumer_seq == self._last + 1
        self._connection = delivery.connection
        self._last = delivery.consumer_seq
        if not unbroken:
            self.known_from = self.NOTHING
        if self.known_from == self.NOTHING and delivery.first:
            self.known_from = delivery.stored.seq - 1

    def forget(self) -> None:
        """Trust no delivery before the next one: some of them are to be folded again."""
        self.known_from = self.NOTHING


class Deliveries:
    """What was delivered and is neither handled nor given back; its leases are kept up meanwhile."""

    def __init__(self, mailbox: str, deaths: Deaths, ack_wait_s: float) -> None:
        self._mailbox = mailbox
        self._deaths = deaths
        self._ack_wait_s = ack_wait_s
        self._unhandled: dict[Delivery, None] = {}
        self._lease: asyncio.Task[None] | None = None

    def take(self, delivery: Delivery) -> None:
        self._unhandled[delivery] = None
        if self._lease is None or self._lease.done():
            self._lease = asyncio.create_task(self._keep_leases())

    def handled(self, delivery: Delivery) -> None:
        self._unhandled.pop(delivery, None)
        self._deaths.forgive(self._mailbox, delivery.stored.seq)
        delivery.ack()

    def give_back(self, delivery: Delivery, delay_s: float = 0.0) -> None:
        self._unhandled.pop(delivery, None)
        delivery.nak(delay_s)

    def give_back_all(self) -> None:
        for delivery in list(self._unhandled):
            self.give_back(delivery)

    def let_go(self) -> None:
        """Keep up no lease any more."""
        if self._lease is not None:
            self._lease.cancel()

    async def _keep_leases(self) -> None:
        while self._unhandled:
            await asyncio.sleep(self._ack_wait_s / 3)
            for delivery in self._unhandled:
                delivery.in_progress()


@dataclass(kw_only=True)
class Means:
    """What a key works with; one for all keys of a loop."""

    role: Role[Any]
    carrier: Carrier
    settings: LoopSettings
    deaths: Deaths
    per_company: bool
    past: Past
    publisher: Publisher
    saver: Saver
    reporter: Reporter
    deliveries: Deliveries
    path: DeliveryPath
    slice_end: float = 0.0

    def is_old(self, stored: Stored) -> bool:
        """Say whether the server may have forgotten the ids of what was decided on a mail."""
        return self.carrier.now_ns() - stored.time_ns > self.settings.old_after_s * 1e9

    async def let_others_run(self) -> None:
        """Let timers and acks run, if handlers have had their slice of time."""
        clock = asyncio.get_running_loop().time
        if clock() >= self.slice_end:
            await asyncio.sleep(0)
            self.slice_end = clock() + _SLICE_S

    def dead_letters(self, decision: Decision) -> Sequence[Outgoing]:
        """Return the copy of a mail that its decision puts aside, if it does."""
        dead, stored = decision.dead, decision.stored
        if dead is None:
            return ()
        log.warning(
            "mail.refused",
            mailbox=self.role.name,
            mission=subjects.mission_of(stored.subject),
            seq=stored.seq,
            reason=dead.reason,
            error=dead.detail,
        )
        return (deadletters.copy_of(self.role.name, stored, dead),)
