"""The log in memory: one process, no server, the same promises as JetStream.

It carries the simulation, where delivery order, duplicates and crashes come from a seed. What it promises
is held against the real carrier by the contract suite.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from bus import blobs
from bus.envelope import Outgoing, Stored
from bus.errors import NotPermitted, NotSetUp, Occupied, Unknown
from bus.ports import Handler, PubAck
from bus.refusals import is_permitted, refusal, refusal_of_new
from bus.subjects import Filter, Subject, mailbox_filter, matches
from bus.topology import DurableConsumer, Stream, Topology
from bus.wire import head_of, header_in, raw_headers, stored_as, text_of


class MemoryServer:
    """Streams and durable consumers that outlive the carriers connected to them."""

    def __init__(self, topology: Topology, clock: Callable[[], int] = time.time_ns) -> None:
        self.clock = clock
        self._topology = topology
        self._streams = {spec.name: _MemoryStream(spec) for spec in topology.streams}
        self._consumers = {spec.name: _MemoryConsumer(self, spec) for spec in topology.consumers}
        self.listeners: list[tuple[MemoryCarrier, str, Callable[[Stored], None]]] = []

    def connect(self, allowed: Sequence[str] | None = None) -> MemoryCarrier:
        """Connect somebody who may publish to the subjects that `allowed` has, by default to all."""
        return MemoryCarrier(self, allowed)

    def stream(self, name: str) -> _MemoryStream:
        return self._streams[name]

    def consumer(self, name: str) -> _MemoryConsumer:
        if name not in self._consumers:
            raise NotSetUp(f"there is no consumer {name}")
        return self._consumers[name]

    def close(self) -> None:
        """End the leases that are still running."""
        for consumer in self._consumers.values():
            for lease in consumer.leases.values():
                lease.cancel()

    def load(self, stream: str, messages: Sequence[Stored]) -> None:
        """Take over what another server's stream held, times included. Nothing of it counts as acked."""
        for stored in messages:
            raw = raw_headers(stored.headers)
            ack = self._streams[stream].append(stored.subject, raw, stored.body, stored.time_ns)
            assert ack == (stored.seq, False), f"{stream} has a gap or a copy at {stored.seq}"
            self._offer(stream, ack.seq)

    def store(self, message: Outgoing) -> PubAck:
        return self.write(message.subject.encode(), raw_headers(message.headers), message.body)

    def write(self, subject: bytes, raw: bytes, body: bytes) -> PubAck:
        """Store what somebody publishes without this package: any bytes at all."""
        text = text_of(subject)
        spec = self._topology.stream_of(text)
        if spec is None:
            raise NotSetUp(f"no stream stores {text}")
        ack = self._streams[spec.name].append(text, raw, body, self.clock())
        if not ack.duplicate:
            for _, pattern, on_mail in self.listeners:
                if matches(pattern, text):
                    on_mail(self._streams[spec.name].messages[ack.seq - 1])
            self._offer(spec.name, ack.seq)
        return ack

    def _offer(self, stream: str, seq: int) -> None:
        for consumer in self._consumers.values():
            if consumer.spec.stream == stream:
                consumer.offer(seq)


class _MemoryStream:
    def __init__(self, spec: Stream) -> None:
        self.spec = spec
        self.messages: list[Stored] = []
        self._ids: dict[str, tuple[int, int]] = {}
        self._last_id = ""

    def append(self, subject: str, raw: bytes, body: bytes, now_ns: int) -> PubAck:
        if why := refusal(self.spec.name, self.messages, subject, raw):
            raise Unknown(f"{subject}: {why}")
        message_id = header_in(raw, "Nats-Msg-Id")
        known = self._ids.get(message_id)
        if known is not None and now_ns - known[1] < self.spec.duplicate_window_s * 1e9:
            return PubAck(known[0], True)
        if why := refusal_of_new(self._last_id, raw):
            raise Unknown(f"{subject}: {why}")
        if self.spec.write_once and any(m.subject == subject for m in self.messages):
            raise Occupied(subject)
        seq = len(self.messages) + 1
        self.messages.append(stored_as(seq, now_ns, subject, head_of(raw), body))
        self._last_id = message_id
        if message_id:
            self._ids[message_id] = (seq, now_ns)
        return PubAck(seq, False)

    def read(self, pattern: str, start: int, batch: int) -> list[Stored]:
        found = []
        for stored in self.messages[max(0, start - 1) :]:
            if matches(pattern, stored.subject):
                found.append(stored)
                if len(found) == batch:
                    break
        return found


@dataclass(eq=False)
class _MemoryDelivery:
    stored: Stored
    consumer_seq: int
    first: bool
    consumer: _MemoryConsumer
    pull: _MemoryPull
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
class _MemoryConsumer:
    """A durable consumer: what is pending, who holds what until when."""

    server: MemoryServer
    spec: DurableConsumer
    pending: deque[int] = field(default_factory=deque)
    leases: dict[int, asyncio.TimerHandle] = field(default_factory=dict)
    delivered: set[int] = field(default_factory=set)
    count: int = 0
    pulls: deque[_MemoryPull] = field(default_factory=deque)

    def offer(self, seq: int) -> None:
        subject = self.server.stream(self.spec.stream).messages[seq - 1].subject
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
            stored = self.server.stream(self.spec.stream).messages[seq - 1]
            first = seq not in self.delivered
            self.delivered.add(seq)
            pull.put(_MemoryDelivery(stored, self.count, first, self, pull))


class _MemoryPull:
    """One process's open pull."""

    def __init__(self, consumer: _MemoryConsumer, window: int, handler: Handler) -> None:
        self.room = window
        self.gone = False
        self._consumer = consumer
        self._handler = handler
        self._queue: asyncio.Queue[_MemoryDelivery] = asyncio.Queue()
        self.error: asyncio.Future[BaseException] = asyncio.get_running_loop().create_future()
        self._task = asyncio.create_task(self._work())

    def put(self, delivery: _MemoryDelivery) -> None:
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


class MemoryCarrier:
    """One process's connection to a MemoryServer."""

    ordered_reads = True

    def __init__(self, server: MemoryServer, allowed: Sequence[str] | None = None) -> None:
        self._server = server
        self._allowed = allowed
        self._pulls: list[_MemoryPull] = []
        self._failed: asyncio.Future[BaseException] = asyncio.get_running_loop().create_future()
        self.alive = True

    def now_ns(self) -> int:
        return self._server.clock()

    async def publish(self, message: Outgoing) -> PubAck:
        await blobs.before(self, message)
        await asyncio.sleep(0)
        if not self.alive:
            raise asyncio.CancelledError("this process was killed")
        return self.write(message.subject.encode(), raw_headers(message.headers), message.body)

    def write(self, subject: bytes, raw: bytes, body: bytes) -> PubAck:
        """Publish any bytes at all.

        Raises:
            NotPermitted: whoever is connected may not write there.
        """
        if self._allowed is not None and not is_permitted(self._allowed, text_of(subject)):
            raise NotPermitted("this account", text_of(subject))
        return self._server.write(subject, raw, body)

    async def read(
        self, stream: str, pattern: Filter, start: int, batch: int = 256, *, whole: bool = True
    ) -> list[Stored]:
        await asyncio.sleep(0)
        page = self._server.stream(stream).read(pattern, start, batch)
        return await blobs.whole_page(self, page) if whole else page

    async def last(self, stream: str, subject: Subject) -> Stored | None:
        await asyncio.sleep(0)
        messages = self._server.stream(stream).messages
        found = next((stored for stored in reversed(messages) if stored.subject == subject), None)
        return await blobs.whole(self, found) if found else None

    async def newest(self, stream: str, pattern: Filter) -> int:
        await asyncio.sleep(0)
        messages = self._server.stream(stream).messages
        return next((stored.seq for stored in reversed(messages) if matches(pattern, stored.subject)), 0)

    async def get(self, stream: str, seq: int) -> Stored | None:
        await asyncio.sleep(0)
        messages = self._server.stream(stream).messages
        return messages[seq - 1] if 0 < seq <= len(messages) else None

    async def consume(self, stream: str, consumer: str, window: int, handler: Handler) -> _MemoryPull:
        found = self._server.consumer(consumer)
        pull = _MemoryPull(found, window, handler)
        self._pulls.append(pull)
        pull.error.add_done_callback(self._pull_failed)
        found.pulls.append(pull)
        found.pump()
        return pull

    async def listen(self, mailbox: str, on_mail: Callable[[Stored], None]) -> None:
        self._server.listeners.append((self, mailbox_filter(mailbox), on_mail))

    def _pull_failed(self, error: asyncio.Future[BaseException]) -> None:
        if not error.cancelled() and not self._failed.done():
            self._failed.set_result(error.result())

    async def failed(self) -> BaseException:
        return await asyncio.shield(self._failed)

    def kill(self) -> None:
        """End like a killed process: nothing is flushed, nak'd or published any more."""
        self.alive = False
        self._server.listeners = [one for one in self._server.listeners if one[0] is not self]
        for pull in self._pulls:
            pull.abandon()

    async def close(self) -> None:
        self.kill()
