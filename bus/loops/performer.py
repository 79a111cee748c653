"""The performer loop: orders that touch the world, at least once, the first answer wins.

An order is identified everywhere by (mission, sender, id). Before it is performed and before it is
answered, the log is asked for an answer. The lease is kept while it runs. Work of a mission that is paused
or over is dropped, and nothing of it is begun. No mission gives orders without end.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, Protocol, TypeVar

import msgspec

from bus import blobs, deadletters, subjects
from bus.complaints import DeadLetter, cause_of_unreadable, complaint
from bus.envelope import Cause, Mail, Outgoing, Stored, cause_of, open_mail, seal
from bus.errors import BadLetter, BadMail, BusError, DecisionChanged
from bus.loops.halts import Halt, Watch
from bus.loops.poison import KILLED, MOST_STRIKES, Deaths, Unmarked, marked
from bus.loops.publisher import publish_or_leave, publish_surely
from bus.loops.running import until_stopped
from bus.loops.tally import MOST_ORDERS, Tally
from bus.ports import Carrier, Consumer, Delivery
from bus.reading import first
from bus.structured import structlog
from bus.subjects import MAIL_STREAM
from bus.table import Halts, Table

log = structlog.get_logger("bus")

T = TypeVar("T")

_LOOK_AGAIN_S = 0.5
"""When an order comes back whose blob is not there: it keeps no place from others meanwhile."""


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

    def dropped(self, order: Mail, halt: Halt) -> msgspec.Struct:
        """Return the answer to an order that was dropped, naming the status that was obeyed."""
        ...

    def failed(self, order: Mail, why: str) -> msgspec.Struct:
        """Return the answer to an order that cannot be performed at all."""
        ...

    async def close(self) -> None:
        """Let go of whatever was held between orders; nothing is being performed any more."""
        ...


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
        self._tally = Tally(carrier, performer.name, table.mailbox(performer.name).orders)
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
        try:
            await until_stopped(stop, self.carrier.failed(), asyncio.shield(self._fatal))
        finally:
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
        if (whole := await blobs.look(self.carrier, stored)) is None:
            raise NotNow("what its body stands for is not there yet", _LOOK_AGAIN_S)
        stored = whole
        try:
            order = open_mail(self.table, stored, stored.time_ns)
        except BadMail as error:
            cause = cause_of_unreadable(stored, stored.time_ns)
            await self._bury(stored, DeadLetter(error.reason, error.detail, ""), cause)
            return
        if not await self._answered(order) and not await self._refused(order, stored):
            await self._perform_and_answer(order, stored)

    async def _refused(self, order: Mail, stored: Stored) -> bool:
        """Refuse an order that has killed its processes, or one of too many; say whether it was one."""
        if self.deaths.strikes(self.performer.name, order.seq) >= MOST_STRIKES:
            log.critical("order.killed", mailbox=self.performer.name, mission=order.mission, seq=order.seq)
            await self._give_up(order, stored, KILLED)
            return True
        if (count := await self._tally.count(order)) > MOST_ORDERS:
            log.error("order.refused", mailbox=self.performer.name, mission=order.mission, orders=count)
            if count <= 2 * MOST_ORDERS:
                failed = self.performer.failed(order, f"the mission has given more than {MOST_ORDERS} orders")
                await publish_surely(self.carrier, self._seal(order, failed, stored))
            return True
        return False

    async def _perform_and_answer(self, order: Mail, stored: Stored) -> None:
        try:
            answer = await self._perform(order)
        except DecisionChanged as error:  # somebody wrote under an id of ours: this order ends, others go on
            log.critical("order.disputed", mailbox=self.performer.name, mission=order.mission, seq=order.seq)
            await self._give_up(order, stored, DeadLetter("disputed", str(error), ""))
            return
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
            await self._send(order, stored, answer)
        except BadLetter as error:
            log.error("answer.bad", mailbox=self.performer.name, mission=order.mission, error=str(error))
            dead = DeadLetter("bad_answer", f"its answer cannot be sent: {error}", "")
            await self._give_up(order, stored, dead)

    async def _give_up(self, order: Mail, stored: Stored, dead: DeadLetter) -> None:
        """Put a copy of an order aside, and tell whoever waits for the answer that there will be none."""
        await publish_surely(self.carrier, deadletters.copy_of(self.performer.name, stored, dead))
        await self._send(order, stored, self.performer.failed(order, dead.detail))

    async def _send(self, order: Mail, stored: Stored, answer: msgspec.Struct) -> None:
        try:
            await publish_surely(self.carrier, self._seal(order, answer, stored))
        except DecisionChanged:
            log.info("answer.second", mailbox=self.performer.name, mission=order.mission)  # the first won

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

        def answers(stored: Stored) -> bool:
            return stored.headers.get("coo-cause") == f"{order.sender}/{order.id}"

        return await first(self.carrier, MAIL_STREAM, pattern, order.at + 1, answers) is not None

    async def _perform(self, order: Mail) -> msgspec.Struct:
        states = Watch(self._halts, self.table, self.carrier, order.mission)
        if (halt := await states.look()) is not None:
            return self.performer.dropped(order, halt)
        watch = asyncio.create_task(states.halted(self._watch_s))
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

    async def _bury(self, stored: Stored, dead: DeadLetter, cause: Cause) -> None:
        """Copy a mail to the dead letters and tell the company, unless its mission is over."""
        name, version = self.performer.name, self.performer.version
        for letter in complaint(self.table, name, version, stored, dead, cause):
            mission = subjects.mission_of(letter.subject)
            halt = await Watch(self._halts, self.table, self.carrier, mission).look()
            if halt is None or not halt.final:
                await publish_or_leave(self.carrier, letter)
        await publish_surely(self.carrier, deadletters.copy_of(name, stored, dead))


async def _end(task: asyncio.Task[object]) -> None:
    """Cancel a task and wait until it has cleaned up."""
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
