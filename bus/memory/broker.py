"""A server in memory, and the connections to it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence

from bus import blobs
from bus.envelope import Outgoing, Stored
from bus.errors import NotPermitted, NotSetUp
from bus.memory.consumer import MemoryConsumer, MemoryPull
from bus.memory.stream import MemoryStream
from bus.ports import Handler, PubAck
from bus.refusals import is_permitted
from bus.server.topology import Topology
from bus.subjects import Filter, Subject, mailbox_filter, matches
from bus.wire import raw_headers, text_of


class MemoryServer:
    """Streams and durable consumers that outlive the carriers connected to them."""

    def __init__(self, topology: Topology, clock: Callable[[], int] = time.time_ns) -> None:
        self.clock = clock
        self._topology = topology
        self._streams = {spec.name: MemoryStream(spec) for spec in topology.streams}
        self._consumers = {
            spec.name: MemoryConsumer(spec, self._streams[spec.stream].messages)
            for spec in topology.consumers
        }
        self.listeners: list[tuple[MemoryCarrier, str, Callable[[Stored], None]]] = []

    def connect(self, allowed: Sequence[str] | None = None) -> MemoryCarrier:
        """Connect somebody who may publish to the subjects that `allowed` has, by default to all."""
        return MemoryCarrier(self, allowed)

    def stream(self, name: str) -> MemoryStream:
        return self._streams[name]

    def consumer(self, name: str) -> MemoryConsumer:
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


class MemoryCarrier:
    """One process's connection to a MemoryServer."""

    ordered_reads = True

    def __init__(self, server: MemoryServer, allowed: Sequence[str] | None = None) -> None:
        self._server = server
        self._allowed = allowed
        self._pulls: list[MemoryPull] = []
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

    async def consume(self, stream: str, consumer: str, window: int, handler: Handler) -> MemoryPull:
        found = self._server.consumer(consumer)
        pull = MemoryPull(found, window, handler)
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
