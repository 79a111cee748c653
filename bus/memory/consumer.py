"""A durable consumer in memory: what is pending, and who holds what until when."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from bus.envelope import Stored
from bus.ports import Handler
from bus.server.topology import DurableConsumer
from bus.subjects import matches


@dataclass(eq=False)
class Delivery:
    stored: Stored
    consumer_seq: int
    first: bool
    consumer: MemoryConsumer
    pull: MemoryPull
    connection: int = 1
    done: bool = False

    def ack(self) -> None:
        if not self.done and not self.pull.gone:
            self.done = True
            self.pull.handled()
            self.consumer.acked(self.stored.seq)

    def forget(self) -> None:
        """Handle it without the server hearing of it: the lease runs out, and it comes again."""
        if not self.done and not self.pull.gone:
            self.done = True
            self.pull.handled()

    def nak(self, delay_s: float = 0.0) -> None:
        if not self.done and not self.pull.gone:
            self.done = True
            self.pull.handled()
            self.consumer.redeliver(self.stored.seq, delay_s)

    def in_progress(self) -> None:
        if not self.pull.gone:
            self.consumer.extend(self.stored.seq)


@dataclass(eq=False)
class MemoryConsumer:
    """A durable consumer: what is pending, who holds what until when."""

    spec: DurableConsumer
    messages: Sequence[Stored]
    pending: deque[int] = field(default_factory=deque)
    leases: dict[int, asyncio.TimerHandle] = field(default_factory=dict)
    delivered: set[int] = field(default_factory=set)
    count: int = 0
    pulls: deque[MemoryPull] = field(default_factory=deque)

    def offer(self, seq: int) -> None:
        subject = self.messages[seq - 1].subject
        if any(matches(pattern, subject) for pattern in self.spec.filters):
            self.pending.append(seq)
            self.pump()

    def acked(self, seq: int) -> None:
        if (lease := self.leases.pop(seq, None)) is not None:
            lease.cancel()
        self.pump()

    def redeliver(self, seq: int, delay_s: float = 0.0) -> None:
        lease = self.leases.get(seq)
        if lease is None:
            return
        lease.cancel()
        if delay_s > 0:
            self.leases[seq] = asyncio.get_running_loop().call_later(delay_s, self._expired, seq)
        else:
            self._expired(seq)

    def extend(self, seq: int) -> None:
        if (lease := self.leases.get(seq)) is not None:
            lease.cancel()
            self._lease(seq)

    def _lease(self, seq: int) -> None:
        loop = asyncio.get_running_loop()
        self.leases[seq] = loop.call_later(self.spec.ack_wait_s, self._expired, seq)

    def _expired(self, seq: int) -> None:
        del self.leases[seq]
        self.pending.appendleft(seq)
        self.pump()

    def pump(self) -> None:
        """Hand out what is pending, in turn to every pull that has room."""
        while self.pending and len(self.leases) < self.spec.max_ack_pending:
            pull = next((pull for pull in self.pulls if pull.room > 0), None)
            if pull is None:
                return
            self.pulls.remove(pull)
            self.pulls.append(pull)
            seq = self.pending.popleft()
            self.count += 1
            self._lease(seq)
            stored = self.messages[seq - 1]
            first = seq not in self.delivered
            self.delivered.add(seq)
            pull.put(Delivery(stored, self.count, first, self, pull))


class MemoryPull:
    """One process's open pull."""

    def __init__(self, consumer: MemoryConsumer, window: int, handler: Handler) -> None:
        self.room = window
        self.gone = False
        self._consumer = consumer
        self._handler = handler
        self._queue: asyncio.Queue[Delivery] = asyncio.Queue()
        self.error: asyncio.Future[BaseException] = asyncio.get_running_loop().create_future()
        self._task = asyncio.create_task(self._work())

    def put(self, delivery: Delivery) -> None:
        self.room -= 1
        self._queue.put_nowait(delivery)

    def handled(self) -> None:
        self.room += 1
        self._consumer.pump()

    async def _work(self) -> None:
        while True:
            delivery = await self._queue.get()
            try:
                await self._handler(delivery)
            except Exception as error:
                if not self.error.done():
                    self.error.set_result(error)
                return

    def abandon(self) -> None:
        """Go without a word, as a killed process does: leases run out."""
        self.gone = True
        self._leave()

    def _leave(self) -> None:
        if self in self._consumer.pulls:
            self._consumer.pulls.remove(self)
        self._task.cancel()

    async def stop(self) -> None:
        self._leave()
        while not self._queue.empty():
            self._queue.get_nowait().nak()
