"""A continuous pull on a durable consumer: nats-py has none, its fetch is a request for each batch."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from typing import Protocol

from bus.errors import NotSetUp
from bus.jetstream.natspy import Client, Msg, Subscription, nats, raw_of
from bus.ports import Handler, Leases
from bus.wire import head_of, stored_as

_UNANSWERED = 50
"""Pulls in a row, 0.2 s apart, that nobody answered before the consumer is held to be missing."""

_PULL_EXPIRES_S = 30.0
"""Below the two minutes after which the server forgets where the answers of an imported service go."""


class Connection(Protocol):
    """What a pull needs of whoever holds the connection. `epoch` counts its reconnects."""

    nc: Client
    leases: Leases
    epoch: int

    def consumer_failed(self, error: BaseException) -> None: ...


class _Delivery:
    """A pulled message. Its ack subject says where it is: see ADR-15 of nats-architecture-and-design."""

    __slots__ = ("_msg", "_pull", "connection", "consumer_seq", "done", "first", "stored")

    def __init__(self, pull: Pull, msg: Msg, connection: int) -> None:
        tokens = msg.reply.split(".")
        delivered, seq, consumer_seq, time_ns = map(int, (tokens[-5], tokens[-4], tokens[-3], tokens[-2]))
        self._pull = pull
        self._msg = msg
        self.connection = connection
        self.consumer_seq = consumer_seq
        self.first = delivered == 1
        self.done = False
        self.stored = stored_as(seq, time_ns, msg.subject, head_of(raw_of(msg)), msg.data)

    def ack(self) -> None:
        self._finish(b"+ACK", handled=True)

    def nak(self, delay_s: float = 0.0) -> None:
        delay = f' {{"delay": {int(delay_s * 1e9)}}}' if delay_s else ""
        self._finish(b"-NAK" + delay.encode(), handled=False)

    def in_progress(self) -> None:
        if not self.done:
            self._pull.say(self._msg.reply, b"+WPI")

    def _finish(self, word: bytes, *, handled: bool) -> None:
        if not self.done:
            self.done = True
            self._pull.say(self._msg.reply, word)
            self._pull.settled(self._msg.reply, handled=handled)


class Pull:
    """One pull kept open on a durable consumer, renewed when half of it is used.

    What counts against the window is what was delivered and not yet handled, so that a slow handler is
    never handed more than it can hold leases for.
    """

    def __init__(
        self, carrier: Connection, stream: str, consumer: str, window: int, handler: Handler
    ) -> None:
        self._carrier = carrier
        self._api = f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{consumer}"
        self._consumer = consumer
        self._window = window
        self._handler = handler
        self._held = 0
        self._asked = 0
        self._asked_at = 0.0
        self._stopped = False
        self._inbox = ""
        self._unanswered = 0
        self._sub: Subscription | None = None
        self._refresher: asyncio.Task[None] | None = None
        self._worker: asyncio.Task[None] | None = None
        self._queue: asyncio.Queue[_Delivery] = asyncio.Queue()

    async def start(self) -> None:
        await self.renew_all()
        self._refresher = asyncio.create_task(self._refresh())
        self._worker = asyncio.create_task(self._work())

    async def renew_all(self) -> None:
        """Ask anew on a fresh inbox: after a reconnect the server has forgotten what was asked."""
        if self._stopped:
            return
        if self._sub is not None:
            with contextlib.suppress(nats.errors.Error):
                await self._sub.unsubscribe()
        self._inbox = self._carrier.nc.new_inbox()
        self._asked = 0
        self._sub = await self._carrier.nc.subscribe(
            self._inbox, cb=self._on_message, pending_msgs_limit=-1, pending_bytes_limit=-1
        )
        await self._renew()

    async def _renew(self) -> None:
        room = self._window - self._held - self._asked
        if self._stopped or self._asked > self._window // 2 or room <= 0:
            return
        self._asked += room
        self._asked_at = time.monotonic()
        request = {"batch": room, "expires": int(_PULL_EXPIRES_S * 1e9)}
        with contextlib.suppress(nats.errors.Error):
            await self._carrier.nc.publish(self._api, json.dumps(request).encode(), self._inbox)

    async def _refresh(self) -> None:
        """Ask again when an open request must have run out: its end may have been lost."""
        while True:
            await asyncio.sleep(1.0)
            if self._asked and time.monotonic() - self._asked_at > _PULL_EXPIRES_S + 2.0:
                self._asked = 0
            await self._renew()

    async def _on_message(self, msg: Msg) -> None:
        if not msg.reply.startswith("$JS.ACK"):
            await self._on_status(msg)
            return
        self._unanswered = 0
        self._asked = max(0, self._asked - 1)
        self._held += 1
        # Taken when it comes, handled in turn: what waits here must be known to be held, too.
        self._carrier.leases.taken(msg.reply)
        delivery = _Delivery(self, msg, self._carrier.epoch)
        if self._stopped:
            delivery.nak()
        else:
            self._queue.put_nowait(delivery)

    async def _work(self) -> None:
        while True:
            delivery = await self._queue.get()
            try:
                await self._handler(delivery)
            except Exception as error:
                self._carrier.consumer_failed(error)
            await self._renew()

    async def _on_status(self, msg: Msg) -> None:
        headers = msg.headers or {}
        pending = headers.get("Nats-Pending-Messages", "")
        self._asked = max(0, self._asked - int(pending)) if pending.isdigit() else 0
        if headers.get("Status") == "409" and "Deleted" in headers.get("Description", ""):
            self._carrier.consumer_failed(NotSetUp(f"consumer {self._consumer} is gone: run `coo setup`"))
        elif headers.get("Status") == "503":
            self._unanswered += 1
            if self._unanswered > _UNANSWERED:
                self._carrier.consumer_failed(
                    NotSetUp(f"there is no consumer {self._consumer}: run `coo setup`")
                )
            await asyncio.sleep(0.2)
        await self._renew()

    def say(self, subject: str, word: bytes) -> None:
        """Send an ack without waiting: a lost one is a redelivery."""
        task = asyncio.ensure_future(self._send(subject, word))
        task.add_done_callback(_ACKS.discard)
        _ACKS.add(task)

    async def _send(self, subject: str, word: bytes) -> None:
        with contextlib.suppress(nats.errors.Error, OSError):
            await self._carrier.nc.publish(subject, word)

    def settled(self, ack_subject: str, *, handled: bool) -> None:
        self._carrier.leases.settled(ack_subject, handled=handled)
        self._held -= 1
        if self._asked <= self._window // 2 and not self._stopped:
            task = asyncio.ensure_future(self._renew())
            task.add_done_callback(_ACKS.discard)
            _ACKS.add(task)

    async def stop(self) -> None:
        # The subscription stays until the connection closes: what still comes is nak'd at once.
        self._stopped = True
        for task in (self._refresher, self._worker):
            if task is not None:
                task.cancel()
        while not self._queue.empty():
            self._queue.get_nowait().nak()
        await asyncio.gather(*_ACKS, return_exceptions=True)


_ACKS: set[asyncio.Future[None]] = set()
