"""The performer loop: orders that touch the world, at least once, the first answer wins.

An order is identified everywhere by (mission, sender, id). Before it is performed and before it is
answered, the log is asked for an answer. The lease is kept while it runs. Work of a mission that is paused
or over is dropped.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol, TypeVar

import msgspec

from bus import deadletters, subjects
from bus.complaints import DeadLetter, cause_of_unreadable, complaint
from bus.envelope import Cause, Mail, Outgoing, Stored, cause_of, open_mail, readable, seal
from bus.errors import BadLetter, BadMail, BusError, DecisionChanged
from bus.poison import KILLED, MOST_STRIKES, Deaths, Unmarked, marked
from bus.ports import Carrier, Consumer, Delivery
from bus.publisher import publish_surely
from bus.structured import structlog
from bus.subjects import MAIL_STREAM
from bus.table import Table

log = structlog.get_logger("bus")

T = TypeVar("T")


class NotNow(Exception):
    """An order cannot be performed at this moment, without fault of its own: it comes back in `after_s`."""

    def __init__(self, why: str, after_s: float) -> None:
        self.after_s = after_s
        super().__init__(why)


class Performer(Protocol):
    """What a performer is to the loop."""

    name: str
    version: int

    async def perform(self, order: Mail) -> msgspec.Struct:
        """Do what the order says and return the answer. Cancelled when the mission is paused or over.

        Raises:
            NotNow: deliver the order again later.
        """
        ...

    def dropped(self, order: Mail, status_seq: int) -> msgspec.Struct:
        """Return the answer to an order that was dropped, naming the status that was obeyed."""
        ...

    def failed(self, order: Mail, why: str) -> msgspec.Struct:
        """Return the answer to an order that cannot be performed at all."""
        ...

    async def close(self) -> None:
        """Let go of whatever was held between orders; nothing is being performed any more."""
        ...


@dataclass(frozen=True, kw_only=True)
class Halts:
    """How a performer learns that a mission is paused or over.

    `kind` from `sender` to `to` carries the state; `at` gives the sequence it was decided at, and readers
    take the greatest; `halted` says whether work stops.
    """

    sender: str
    to: str
    kind: str
    at: Callable[[msgspec.Struct], int]
    halted: Callable[[msgspec.Struct], bool]


class PerformerLoop:
    """Serves one performer's mailbox until it is stopped."""

    def __init__(
        self,
        performer: Performer,
        table: Table,
        carrier: Carrier,
        *,
        halts: Halts,
        slots: int = 4,
        ack_wait_s: float = 10.0,
        watch_s: float = 1.0,
        deaths: Deaths | None = None,
    ) -> None:
        self.deaths = deaths or Unmarked()
        self.performer = performer
        self.table = table
        self.carrier = carrier
        self._halts = halts
        self._slots = slots
        self._ack_wait_s = ack_wait_s
        self._watch_s = watch_s
        self._tasks: dict[asyncio.Task[None], list[Delivery]] = {}
        self._stopping = False
        self._fatal: asyncio.Future[BaseException] = asyncio.get_running_loop().create_future()
        self._consumer: Consumer | None = None

    async def run(self, stop: asyncio.Event) -> None:
        """Serve until `stop` is set; what is being performed is then given back.

        Raises:
            BusError: what ends the process.
        """
        self._consumer = await self.carrier.consume(
            MAIL_STREAM, self.performer.name, self._slots, self._on_delivery
        )
        stopped = asyncio.ensure_future(stop.wait())
        failures = [
            asyncio.ensure_future(failure) for failure in (self.carrier.failed(), asyncio.shield(self._fatal))
        ]
        try:
            await asyncio.wait([stopped, *failures], return_when=asyncio.FIRST_COMPLETED)
            for failure in failures:
                if failure.done():
                    raise failure.result()
        finally:
            for wait in (stopped, *failures):
                wait.cancel()
            await self._give_back()

    async def _give_back(self) -> None:
        self._stopping = True
        if self._consumer is not None:
            await self._consumer.stop()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.performer.close()

    async def _on_delivery(self, delivery: Delivery) -> None:
        if self._stopping:
            delivery.nak()
            return
        for same in self._tasks.values():
            if same[0].stored.seq == delivery.stored.seq:
                same.append(delivery)  # its lease ran out while it is performed here: once is enough
                return
        task = asyncio.create_task(self._serve(delivery))
        self._tasks[task] = [delivery]
        task.add_done_callback(self._served)

    def _served(self, task: asyncio.Task[None]) -> None:
        for delivery in self._tasks.pop(task):
            if task.cancelled():
                delivery.nak()
            elif (error := task.exception()) is None:
                self.deaths.forgive(self.performer.name, delivery.stored.seq)
                delivery.ack()
            elif isinstance(error, NotNow):
                delivery.nak(error.after_s)
            elif not self._fatal.done():
                self._fatal.set_result(error)

    async def _serve(self, delivery: Delivery) -> None:
        lease = asyncio.create_task(self._keep_lease(delivery))
        try:
            await self._marked(delivery.stored.seq, partial(self._answer, delivery.stored))
        finally:
            lease.cancel()

    async def _keep_lease(self, delivery: Delivery) -> None:
        while True:
            await asyncio.sleep(self._ack_wait_s / 3)
            delivery.in_progress()

    async def _answer(self, stored: Stored) -> None:
        try:
            order = open_mail(self.table, stored, stored.time_ns)
        except BadMail as error:
            cause = cause_of_unreadable(stored, stored.time_ns)
            await self._bury(stored, DeadLetter(error.reason, error.detail, ""), cause)
            return
        if await self._answered(order):
            return
        if self.deaths.strikes(self.performer.name, order.seq) >= MOST_STRIKES:
            log.critical("order.killed", mailbox=self.performer.name, mission=order.mission, seq=order.seq)
            await publish_surely(self.carrier, deadletters.copy_of(self.performer.name, stored, KILLED))
            failed = self.performer.failed(order, KILLED.detail)
            await publish_surely(self.carrier, self._seal(order, failed, stored))
            return
        try:
            answer = await self._perform(order)
        except (MemoryError, RecursionError):
            self.deaths.strike(self.performer.name, order.seq)
            raise
        except (BusError, NotNow):
            raise
        except Exception as error:
            log.exception("order.raised", mailbox=self.performer.name, mission=order.mission, seq=order.seq)
            dead = DeadLetter("raised", f"{type(error).__name__}: {error}", "")
            await self._bury(stored, dead, cause_of(order, stored.headers))
            return
        if await self._answered(order):
            return
        try:
            await publish_surely(self.carrier, self._seal(order, answer, stored))
        except DecisionChanged:
            log.info("answer.second", mailbox=self.performer.name, mission=order.mission)  # the first won
        except BadLetter as error:
            dead = DeadLetter("bad_answer", str(error), "")
            await self._bury(stored, dead, cause_of(order, stored.headers))

    def _seal(self, order: Mail, answer: msgspec.Struct, stored: Stored) -> Outgoing:
        return seal(
            self.table,
            sender=self.performer.name,
            version=self.performer.version,
            to=order.sender,
            mission=order.mission,
            message=answer,
            cause=cause_of(order, stored.headers),
        )

    async def _answered(self, order: Mail) -> bool:
        """Ask the log whether this order has its answer, which may be one to an earlier copy of it."""
        pattern = subjects.mail_filter(order.mission, order.sender, sender=self.performer.name)
        wanted, start = f"{order.sender}/{order.id}", order.at + 1
        while page := await self.carrier.read(MAIL_STREAM, pattern, start):
            if any(stored.headers.get("coo-cause") == wanted for stored in page):
                return True
            start = page[-1].seq + 1
        return False

    async def _perform(self, order: Mail) -> msgspec.Struct:
        watch = asyncio.create_task(self._watch(order))
        work = asyncio.create_task(self._marked(order.seq, partial(self.performer.perform, order)))
        try:
            await asyncio.wait([watch, work], return_when=asyncio.FIRST_COMPLETED)
            if not work.done():
                log.info("order.dropped", mailbox=self.performer.name, mission=order.mission)
                return self.performer.dropped(order, watch.result())
            return work.result()
        finally:
            await _end(watch)
            await _end(work)

    async def _marked(self, seq: int, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        return await marked(self.deaths, self.performer.name, seq, work())

    async def _watch(self, order: Mail) -> int:
        """Return the sequence of the status by which the mission is paused or over, once there is one."""
        halts, start, newest = self._halts, 1, -1
        halted = False
        pattern = subjects.mail_filter(order.mission, halts.to, halts.kind, halts.sender)
        while True:
            page = await self.carrier.read(MAIL_STREAM, pattern, start)
            for stored in page:
                start = stored.seq + 1
                status = readable(self.table, stored)
                if status is not None and halts.at(status.message) >= newest:
                    newest, halted = halts.at(status.message), halts.halted(status.message)
            if halted:
                return newest
            if not page:
                await asyncio.sleep(self._watch_s)

    async def _bury(self, stored: Stored, dead: DeadLetter, cause: Cause) -> None:
        """Copy a mail to the dead letters and tell the company."""
        name, version = self.performer.name, self.performer.version
        for letter in complaint(self.table, name, version, stored, dead, cause):
            await publish_surely(self.carrier, letter)
        await publish_surely(self.carrier, deadletters.copy_of(name, stored, dead))


async def _end(task: asyncio.Task[object]) -> None:
    """Cancel a task and wait until it has cleaned up."""
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
