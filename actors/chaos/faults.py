"""What goes wrong, and when: drawn from a seed at every step a process takes on the log."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from random import Random
from typing import Any

from bus import blobs
from bus.envelope import Outgoing, Stored
from bus.errors import Unknown
from bus.memory import MemoryCarrier
from bus.ports import Delivery, PubAck
from bus.subjects import Filter, Subject


@dataclass(frozen=True)
class Odds:
    """Probabilities a step, and lengths in seconds of virtual time."""

    crash: float = 0.004
    freeze: float = 0.002
    lost_puback: float = 0.01
    lost_ack: float = 0.02
    lost_hint: float = 0.1
    short_read: float = 0.2
    slow: float = 0.05
    usual_delay_s: float = 0.004
    slow_delay_s: float = 1.5
    freeze_s: float = 30.0
    clock_step: float = 0.002
    clock_step_s: float = 2.0
    late: float = 0.0
    late_ack: float = 0.0
    late_s: float = 8.0
    engine_failure: float = 0.0
    bad_bills: int = 0
    upgrade: bool = False
    words: int = 0


PROFILES = (
    Odds(),
    Odds(crash=0.02, lost_ack=0.05),
    Odds(freeze=0.015, freeze_s=200.0, slow=0.1, slow_delay_s=8.0),
    Odds(crash=0.006, freeze=0.006, freeze_s=90.0, lost_puback=0.05, lost_ack=0.1, short_read=0.5),
    Odds(crash=0.004, slow=0.15, slow_delay_s=4.0, late=0.15, late_ack=0.15),
    Odds(crash=0.004, engine_failure=0.2, bad_bills=2),
    Odds(crash=0.006, upgrade=True),
    Odds(freeze=0.01, freeze_s=120.0, slow=0.1, slow_delay_s=4.0, late=0.05, upgrade=True),
    Odds(words=3),
    Odds(crash=0.02, lost_ack=0.05, words=6),
    Odds(freeze=0.01, freeze_s=120.0, slow=0.1, slow_delay_s=8.0, lost_puback=0.05, words=5),
    Odds(crash=0.006, engine_failure=0.1, late=0.1, late_ack=0.1, upgrade=True, words=6),
)
"""What a seed runs under, in turn: mixed; killed often; stopped past the duplicate window; lossy; out of
order, with acks that come when the lease is over; a sandbox without its engine and bills that cannot be
booked, and a CEO who resumes what they stop; every role in two versions, killed or stopped meanwhile; and
under some of it a CEO who pauses, resumes, raises, decides, cancels and is late, after any message."""

CALM = Odds(0, 0, 0, 0, 0, 0, 0, clock_step=0)
"""Nothing goes wrong; only the order of things still comes from the seed."""


class Fate:
    """Decides for one process what happens at each of its steps."""

    def __init__(self, chance: Random, odds: Odds, crash: Callable[[], None]) -> None:
        self.chance = chance
        self.odds = odds
        self._crash = crash
        self.crash_at: int | None = None
        self.steps = 0

    def happens(self, probability: float) -> bool:
        return self.chance.random() < probability

    async def step(self) -> None:
        """Let some time pass, or end or freeze the process."""
        self.steps += 1
        if self.steps == self.crash_at or self.happens(self.odds.crash):
            self._crash()
            raise asyncio.CancelledError("killed")
        if self.happens(self.odds.freeze):
            await asyncio.sleep(self.chance.uniform(0, self.odds.freeze_s))
        elif self.happens(self.odds.slow):
            await asyncio.sleep(self.chance.uniform(0, self.odds.slow_delay_s))
        else:
            await asyncio.sleep(self.chance.uniform(0, self.odds.usual_delay_s))


class ChaosCarrier:
    """A carrier on which steps take time, answers get lost, reads end early and processes die."""

    ordered_reads = True

    def __init__(self, carrier: MemoryCarrier, fate: Fate) -> None:
        self._carrier = carrier
        self._fate = fate

    def now_ns(self) -> int:
        return self._carrier.now_ns()

    async def publish(self, message: Outgoing) -> PubAck:
        await blobs.before(self, message)
        await self._fate.step()
        ack = await self._carrier.publish(message)
        await self._fate.step()
        if self._fate.happens(self._fate.odds.lost_puback):
            raise Unknown("the answer was lost")
        return ack

    async def read(
        self, stream: str, pattern: Filter, start: int, batch: int = 256, *, whole: bool = True
    ) -> list[Stored]:
        await self._fate.step()
        if self._fate.happens(self._fate.odds.short_read):
            batch = self._fate.chance.randint(1, 3)
        page = await self._carrier.read(stream, pattern, start, batch, whole=whole)
        await self._fate.step()
        return page

    async def last(self, stream: str, subject: Subject) -> Stored | None:
        await self._fate.step()
        return await self._carrier.last(stream, subject)

    async def newest(self, stream: str, pattern: Filter) -> int:
        await self._fate.step()
        return await self._carrier.newest(stream, pattern)

    async def get(self, stream: str, seq: int) -> Stored | None:
        await self._fate.step()
        return await self._carrier.get(stream, seq)

    async def consume(
        self, stream: str, consumer: str, window: int, handler: Callable[[Delivery], Awaitable[None]]
    ) -> Any:
        async def handle(delivery: Delivery) -> None:
            await self._fate.step()
            if self._fate.happens(self._fate.odds.late):
                delivery.nak(self._fate.chance.uniform(0, self._fate.odds.late_s))
            else:
                await handler(_ChaosDelivery(delivery, self._fate))

        return await self._carrier.consume(stream, consumer, window, handle)

    async def listen(self, mailbox: str, on_mail: Callable[[Stored], None]) -> None:
        def hint(stored: Stored) -> None:
            if not self._fate.happens(self._fate.odds.lost_hint):
                on_mail(stored)

        await self._carrier.listen(mailbox, hint)

    async def failed(self) -> BaseException:
        return await self._carrier.failed()

    async def close(self) -> None:
        await self._carrier.close()


class _ChaosDelivery:
    """A delivery whose ack may come late, or never reach the server."""

    def __init__(self, delivery: Delivery, fate: Fate) -> None:
        self._delivery = delivery
        self._fate = fate
        self.stored = delivery.stored
        self.consumer_seq = delivery.consumer_seq
        self.first = delivery.first
        self.connection = delivery.connection

    def ack(self) -> None:
        if self._fate.happens(self._fate.odds.lost_ack):
            self._delivery.forget()  # type: ignore[attr-defined]  # of the carrier in memory
        elif self._fate.happens(self._fate.odds.late_ack):
            delay_s = self._fate.chance.uniform(0, self._fate.odds.late_s)
            asyncio.get_running_loop().call_later(delay_s, self._delivery.ack)
        else:
            self._delivery.ack()

    def nak(self, delay_s: float = 0.0) -> None:
        self._delivery.nak(delay_s)

    def in_progress(self) -> None:
        self._delivery.in_progress()
