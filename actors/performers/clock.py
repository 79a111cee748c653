"""The clock: turns `wake` into `tick` when its time has come.

Each process of it folds the whole mailbox, by delivery and by a read every second, and its own ticks, into
a heap, and acks at once: waking by delayed redelivery would stall at the consumer's bound on unacked
messages. Two clocks write the same ticks under the same ids.
"""

from __future__ import annotations

import asyncio
import heapq
from typing import NamedTuple

import msgspec

from actors import messages as m
from bus import subjects
from bus.complaints import DeadLetter, cause_of_unreadable, complaint
from bus.deadletters import copy_of
from bus.envelope import (
    Cause,
    Mail,
    Outgoing,
    Stored,
    base_headers,
    cause_of,
    digest,
    encode,
    open_mail,
    seal,
)
from bus.errors import BadMail
from bus.ports import Carrier, Delivery
from bus.publisher import publish_surely
from bus.structured import structlog
from bus.subjects import COMPANY, MAIL_STREAM
from bus.table import Checkpoint, Table

log = structlog.get_logger("actors")

VERSION = 1
NAME = "clock"

_WAKES = subjects.mail_filter(to=NAME, kind="wake")
_TICKS = subjects.mail_filter(kind="tick", sender=NAME)

_READ_S = 1.0
_CHECKPOINT_EVERY = 256

MAX_WAKES = 20
"""Open wakes of one mission; more is a fault of whoever sends them."""


class OpenWake(msgspec.Struct, frozen=True, kw_only=True):
    """A wake whose tick is not in the log."""

    mission: str
    sender: str
    id: str
    seq: int
    time_ns: int
    name: str
    at_ns: int

    @property
    def place(self) -> str:
        """What a newer wake of the same name replaces."""
        return f"{self.mission}/{self.sender}/{self.name}"


class Wakes(msgspec.Struct, kw_only=True):
    """The clock's state: open wakes by place."""

    open: dict[str, OpenWake] = {}


class _Due(NamedTuple):
    at_ns: int
    place: str
    id: str


class Clock:
    """One process of the clock."""

    def __init__(self, table: Table, carrier: Carrier) -> None:
        self._table = table
        self._carrier = carrier
        self._wakes = Wakes()
        self._heap: list[_Due] = []
        self._position = 0
        self._ticks_read_to = 0
        self._since_checkpoint = 0
        self._news = asyncio.Event()

    async def run(self, stop: asyncio.Event) -> None:
        """Serve until `stop` is set.

        Raises:
            BusError: what ends the process.
        """
        await self._restore()
        consumer = await self._carrier.consume(MAIL_STREAM, NAME, 256, self._on_delivery)
        work = asyncio.create_task(self._work())
        waits = [asyncio.ensure_future(stop.wait()), asyncio.ensure_future(self._carrier.failed()), work]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            if work.done():
                await work
            if waits[1].done():
                raise waits[1].result()  # type: ignore[misc]
        finally:
            for wait in waits:
                wait.cancel()
            await asyncio.gather(work, return_exceptions=True)
            await consumer.stop()
        if self._since_checkpoint:
            await self._checkpoint()

    async def _on_delivery(self, delivery: Delivery) -> None:
        self._news.set()
        delivery.ack()  # what it says is read from the log, by this and every other clock

    async def _work(self) -> None:
        while True:
            await self._read()
            await self._fire()
            self._news.clear()
            try:
                async with asyncio.timeout(self._pause_s()):
                    await self._news.wait()
            except TimeoutError:
                pass

    def _pause_s(self) -> float:
        if not self._heap:
            return _READ_S
        due_s = (self._heap[0].at_ns - self._carrier.now_ns()) / 1e9
        return min(_READ_S, max(0.0, due_s))

    # -- folding --------------------------------------------------------------------------------------

    async def _restore(self) -> None:
        last = await self._carrier.last(MAIL_STREAM, subjects.mail(COMPANY, NAME, "checkpoint", NAME))
        if last is None:
            return
        try:
            checkpoint = open_mail(self._table, last, last.time_ns).message
            assert isinstance(checkpoint, Checkpoint)
            wakes = msgspec.json.decode(checkpoint.fold, type=Wakes)
        except (BadMail, msgspec.DecodeError) as error:
            log.warning("checkpoint.left_out", key=NAME, seq=last.seq, error=str(error))
            return
        if checkpoint.version == VERSION and checkpoint.position < last.seq:
            self._wakes = wakes
            self._position = self._ticks_read_to = checkpoint.position
            self._heap = [_Due(wake.at_ns, wake.place, wake.id) for wake in self._wakes.open.values()]
            heapq.heapify(self._heap)

    async def _read(self) -> None:
        """Take in wakes first, then ticks: a tick is always behind its wake in the log."""
        while page := await self._carrier.read(MAIL_STREAM, _WAKES, self._position + 1):
            for stored in page:
                await self._take_wake(stored)
            self._position = page[-1].seq
        while page := await self._carrier.read(MAIL_STREAM, _TICKS, self._ticks_read_to + 1):
            ticked = {stored.headers.get("coo-cause", "") for stored in page}
            for wake in list(self._wakes.open.values()):
                if f"{wake.sender}/{wake.id}" in ticked:
                    del self._wakes.open[wake.place]
            self._ticks_read_to = page[-1].seq

    async def _take_wake(self, stored: Stored) -> None:
        try:
            mail = open_mail(self._table, stored, stored.time_ns)
        except BadMail as error:
            await self._bury(stored, DeadLetter(error.reason, error.detail, ""), None)
            return
        if not isinstance(mail.message, m.Wake):
            return
        wake = opened(mail, mail.message)
        waiting = sum(other.mission == wake.mission for other in self._wakes.open.values())
        if waiting >= MAX_WAKES and wake.place not in self._wakes.open:
            dead = DeadLetter("too_many_wakes", f"{wake.mission} has {waiting} open wakes", "")
            await self._bury(stored, dead, mail)
            return
        self._wakes.open[wake.place] = wake
        heapq.heappush(self._heap, _Due(wake.at_ns, wake.place, wake.id))

    async def _bury(self, stored: Stored, dead: DeadLetter, mail: Mail | None) -> None:
        cause = cause_of(mail, stored.headers) if mail else cause_of_unreadable(stored, stored.time_ns)
        for letter in complaint(self._table, NAME, VERSION, stored, dead, cause):
            await publish_surely(self._carrier, letter)
        await publish_surely(self._carrier, copy_of(NAME, stored, dead))

    # -- ticking --------------------------------------------------------------------------------------

    async def _fire(self) -> None:
        while self._heap and self._heap[0].at_ns <= self._carrier.now_ns():
            due = heapq.heappop(self._heap)
            wake = self._wakes.open.get(due.place)
            if wake is not None and wake.id == due.id:
                await publish_surely(self._carrier, self._tick(wake))
                self._wakes.open.pop(due.place, None)
                self._since_checkpoint += 1
        if self._since_checkpoint >= _CHECKPOINT_EVERY:
            await self._checkpoint()

    def _tick(self, wake: OpenWake) -> Outgoing:
        return seal(
            self._table,
            sender=NAME,
            version=VERSION,
            to=wake.sender,
            mission=wake.mission,
            message=m.Tick(name=wake.name, at_ns=wake.at_ns),
            cause=Cause(wake.sender, wake.id, wake.seq, wake.time_ns, ""),
        )

    async def _checkpoint(self) -> None:
        position = min(self._position, self._ticks_read_to or self._position)
        fold = msgspec.json.encode(self._wakes)
        checkpoint = Checkpoint(version=VERSION, position=position, fold=msgspec.Raw(fold))
        headers = base_headers(
            digest("checkpoint", NAME, VERSION, position, fold.hex()),
            NAME,
            "checkpoint",
            self._carrier.now_ns(),
        )
        subject = subjects.mail(COMPANY, NAME, "checkpoint", NAME)
        await publish_surely(self._carrier, Outgoing(subject, headers, encode(checkpoint)))
        self._since_checkpoint = 0


def opened(mail: Mail, wake: m.Wake) -> OpenWake:
    return OpenWake(
        mission=mail.mission,
        sender=mail.sender,
        id=mail.id,
        seq=mail.seq,
        time_ns=mail.now_ns,
        name=wake.name,
        at_ns=wake.at_ns,
    )
