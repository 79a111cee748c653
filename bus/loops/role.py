"""The role loop: catch up, decide, publish, ack. It knows no role.

Whoever handles a mail, however often, decides the same letters with the same ids, so nothing needs a
lock, a lease or an outbox. Whoever folds a mail publishes its letters: those of a process that died go out
with the next mail, whoever handles it.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from typing import Any

from bus import subjects
from bus.complaints import Decision, misaddressed
from bus.fold import Role
from bus.loops.key import Key
from bus.loops.means import Deliveries, DeliveryPath, LoopSettings, Means
from bus.loops.past import Past
from bus.loops.poison import Deaths, Unmarked
from bus.loops.publisher import Publisher, publish_surely
from bus.loops.reporting import Reporter
from bus.loops.running import until_stopped
from bus.loops.saving import Saver
from bus.ports import Carrier, Consumer, Delivery
from bus.structured import structlog
from bus.subjects import COMPANY, MAIL_STREAM
from bus.table import Table

log = structlog.get_logger("bus")

_IDLE_KEYS = 1000
"""Keys kept in memory when nothing is under way for them; others are folded again from the log."""


class RoleLoop:
    """Serves one role's mailbox until it is stopped."""

    def __init__(
        self,
        role: Role[Any],
        table: Table,
        carrier: Carrier,
        settings: LoopSettings | None = None,
        deaths: Deaths | None = None,
    ) -> None:
        self.role = role
        self.table = table
        self.carrier = carrier
        self.settings = settings or LoopSettings()
        deaths = deaths or Unmarked()
        past, publisher = Past(carrier, table, role), Publisher(carrier)
        self._means = Means(
            role=role,
            carrier=carrier,
            settings=self.settings,
            deaths=deaths,
            per_company=table.mailbox(role.name).per == "company",
            past=past,
            publisher=publisher,
            saver=Saver(carrier, role, publisher, self._worker_done),
            reporter=Reporter(role, table, carrier, past, publisher, self._die),
            deliveries=Deliveries(role.name, deaths, self.settings.ack_wait_s),
            path=DeliveryPath(),
        )
        self._keys: OrderedDict[str, Key] = OrderedDict()
        self._consumer: Consumer | None = None
        self._stopping = False
        self._fatal: asyncio.Future[BaseException] = asyncio.get_running_loop().create_future()

    async def start(self) -> None:
        """Begin to pull."""
        self._consumer = await self.carrier.consume(
            MAIL_STREAM, self.role.name, self.settings.window, self._on_delivery
        )

    async def run(self, stop: asyncio.Event) -> None:
        """Serve until `stop` is set, then drain.

        Raises:
            BusError: what ends the process: an authority violation, a newer log, the guard's halt.
        """
        await self.start()
        try:
            publishing, fatal = self._means.publisher.failed(), asyncio.shield(self._fatal)
            await until_stopped(stop, self.carrier.failed(), publishing, fatal)
        finally:
            await self.drain(save=stop.is_set())

    # -- deliveries ---------------------------------------------------------------------------------

    async def _on_delivery(self, delivery: Delivery) -> None:
        if self._stopping:
            delivery.nak()
            return
        self._means.path.note(delivery)
        self._means.deliveries.take(delivery)
        stored = delivery.stored
        nobodys = misaddressed(self.table, self.role.name, self.role.version, stored)
        if nobodys is not None:
            await self._turn_away(delivery, nobodys)
            return
        key = self._key(COMPANY if self._means.per_company else subjects.mission_of(stored.subject))
        if key.is_halted:
            self._means.deliveries.give_back(delivery, key.put_off_s)
        elif key.worker is None and key.is_at_hand(stored):
            key.decide(stored)
            key.settle(delivery)
            await self._means.let_others_run()
        else:
            key.queue.append(delivery)
            if key.worker is None:
                key.worker = asyncio.create_task(key.work())
                key.worker.add_done_callback(self._worker_done)

    async def _turn_away(self, delivery: Delivery, nobodys: Decision) -> None:
        """Put mail that is nobody's with the dead letters; it never has a key."""
        (copy,) = self._means.dead_letters(nobodys)
        if not (self._means.is_old(delivery.stored) and await self._means.past.has_dead(copy)):
            for letter in (*nobodys.letters, copy):
                await publish_surely(self.carrier, letter)
        self._means.deliveries.handled(delivery)

    def _key(self, name: str) -> Key:
        key = self._keys.get(name)
        if key is None:
            key = self._keys[name] = Key(self._means, name)
            self._forget_idle()
        self._keys.move_to_end(name)
        return key

    def _forget_idle(self) -> None:
        for name in list(self._keys)[: max(0, len(self._keys) - _IDLE_KEYS)]:
            if not self._keys[name].busy and self._keys[name].error is None:
                del self._keys[name]

    def _worker_done(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()):
            self._die(error)

    def _die(self, error: BaseException) -> None:
        if not self._fatal.done():
            self._fatal.set_result(error)

    # -- the end ------------------------------------------------------------------------------------

    async def drain(self, save: bool = True) -> None:
        """Stop pulling, finish what is under way or give it back, leave checkpoints."""
        self._stopping = True
        if self._consumer is not None:
            await self._consumer.stop()
        self._means.deliveries.let_go()
        try:
            async with asyncio.timeout(self.settings.drain_s):
                if save:
                    await self._finish()
        except TimeoutError:
            log.warning("drain.cut_short", role=self.role.name)
        await self._means.publisher.stop()
        for task in [*self._means.reporter.tasks, *self._means.saver.tasks, *self._workers()]:
            task.cancel()
        self._means.deliveries.give_back_all()

    async def _finish(self) -> None:
        saver = self._means.saver
        while saver.tasks or any(key.busy for key in self._keys.values()):
            tasks = [*saver.tasks, *self._workers(), *self._means.publisher.tasks]
            if under_way := [task for task in tasks if not task.done()]:
                await asyncio.wait(under_way, return_when=asyncio.FIRST_COMPLETED)
            else:
                await asyncio.sleep(0.01)  # what has ended tells its key, unless it failed
        await saver.save_all(self._keys.values())

    def _workers(self) -> list[asyncio.Task[None]]:
        return [key.worker for key in self._keys.values() if key.worker]
