"""The clock: turns `wake` into `tick` when its time has come. What a mission has open is dropped at its end.

Each process of it folds the whole mailbox, by delivery and by a read every second, and its own ticks, into
a heap, and acks at once: waking by delayed redelivery would stall at the consumer's bound on unacked
messages. What a mission asked for is forgotten when the mission is closed. Two clocks write the same ticks
under the same ids.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Never

import msgspec

from actors import messages as m
from actors.performers.stage import Loop, Stage
from actors.performers.wakes import MAX_WAKES, OpenWake, OpenWakes, Wakes
from bus import subjects
from bus.complaints import DeadLetter, cause_of_unreadable, complaint
from bus.deadletters import copy_of
from bus.envelope import Cause, Mail, Outgoing, Stored, cause_of, digest, open_mail, seal
from bus.errors import BadMail, BlobMismatch
from bus.loops import checkpoints
from bus.loops.publisher import publish_or_leave, publish_surely
from bus.loops.running import until_stopped
from bus.ports import Carrier, Delivery
from bus.structured import structlog
from bus.subjects import COMPANY, MAIL_STREAM, Filter
from bus.table import CHECKPOINT, Checkpoint, Table

log = structlog.get_logger("actors")

VERSION = 1
NAME = "clock"

_WAKES = subjects.mail_filter(to=NAME, kind="wake")
_TICKS = subjects.mail_filter(kind="tick", sender=NAME)
_ENDS = subjects.mail_filter(kind="close", sender="coo")

_READ_S = 1.0
_CHECKPOINT_EVERY = 256
"""Wakes taken or ticked between checkpoints; with more of them open, as many as are open."""


def loop(stage: Stage, mailbox: str) -> Loop:
    """Return the loop that serves wakes."""
    return Clock(stage.table, stage.carrier)


class Clock:
    """One process of the clock."""

    def __init__(self, table: Table, carrier: Carrier) -> None:
        self._table = table
        self._carrier = carrier
        self._wakes = OpenWakes(Wakes())
        self._read_to = dict.fromkeys(("wake", "tick", "close"), 0)
        self._position = 0
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
        try:
            await until_stopped(stop, self._carrier.failed(), work)
        finally:
            work.cancel()
            await asyncio.gather(work, return_exceptions=True)
            await consumer.stop()
        if self._since_checkpoint:
            await self._checkpoint()

    async def _on_delivery(self, delivery: Delivery) -> None:
        self._news.set()
        delivery.ack()  # what it says is read from the log, by this and every other clock

    async def _work(self) -> Never:
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
        next_ns = self._wakes.next_ns()
        if next_ns is None:
            return _READ_S
        return min(_READ_S, max(0.0, (next_ns - self._carrier.now_ns()) / 1e9))

    # -- folding --------------------------------------------------------------------------------------

    async def _restore(self) -> None:
        """Begin at the newest checkpoint; one that cannot be read is left out, and all wakes are read."""
        last = await self._carrier.last(MAIL_STREAM, subjects.mail(COMPANY, NAME, CHECKPOINT, NAME))
        if last is None:
            return
        try:
            checkpoint = open_mail(self._table, last, last.time_ns).message
            assert isinstance(checkpoint, Checkpoint)
            content = await checkpoints.content_of(self._carrier, checkpoint)
            wakes = msgspec.json.decode(content, type=Wakes)
        except (BadMail, msgspec.DecodeError, UnicodeDecodeError, BlobMismatch) as error:
            log.warning("checkpoint.left_out", key=NAME, seq=last.seq, error=str(error))
            return
        if checkpoint.version == VERSION and checkpoint.position < last.seq:
            self._wakes = OpenWakes(wakes)
            self._read_to = dict.fromkeys(self._read_to, checkpoint.position)
            self._position = checkpoint.position

    async def _read(self) -> None:
        """Take in wakes, then ticks and ends: both are behind their wakes in the log.

        So at the end all that is there up to the last wake was taken in, whichever kind it is.
        """
        async for stored in self._news_of("wake", _WAKES):
            await self._take_wake(stored)
            self._since_checkpoint += 1
        async for stored in self._news_of("tick", _TICKS):
            self._wakes.ticked(stored.headers.get("coo-cause", ""))
        async for stored in self._news_of("close", _ENDS):
            self._wakes.over(subjects.mission_of(stored.subject), stored.seq)
        self._position = self._read_to["wake"]

    async def _news_of(self, kind: str, pattern: Filter) -> AsyncIterator[Stored]:
        while page := await self._carrier.read(MAIL_STREAM, pattern, self._read_to[kind] + 1, whole=False):
            for stored in page:
                yield stored
                self._read_to[kind] = stored.seq  # only now: whoever takes it in may be stopped meanwhile

    async def _take_wake(self, stored: Stored) -> None:
        try:
            mail = open_mail(self._table, stored, stored.time_ns)
        except BadMail as error:
            await self._bury(stored, DeadLetter(error.reason, error.detail, ""), None)
            return
        if isinstance(mail.message, m.Wake) and not self._wakes.take(opened(mail, mail.message)):
            why = f"{mail.mission} has {MAX_WAKES} open wakes"
            await self._bury(stored, DeadLetter("too_many_wakes", why, ""), mail)

    async def _bury(self, stored: Stored, dead: DeadLetter, mail: Mail | None) -> None:
        cause = cause_of(mail, stored.headers) if mail else cause_of_unreadable(stored, stored.time_ns)
        for letter in complaint(self._table, NAME, VERSION, stored, dead, cause):
            await publish_or_leave(self._carrier, letter)
        await publish_surely(self._carrier, copy_of(NAME, stored, dead))

    # -- ticking --------------------------------------------------------------------------------------

    async def _fire(self) -> None:
        while (wake := self._wakes.due(self._carrier.now_ns())) is not None:
            await publish_or_leave(self._carrier, self._tick(wake))
            self._wakes.ticked(f"{wake.sender}/{wake.id}")
            self._since_checkpoint += 1
        if self._since_checkpoint >= max(_CHECKPOINT_EVERY, len(self._wakes)):
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
        position, fold = self._position, self._wakes.snapshot()
        checkpoint_id = digest("checkpoint", NAME, VERSION, position, fold.decode())
        letter = await checkpoints.make(self._carrier, NAME, VERSION, COMPANY, position, fold, checkpoint_id)
        await publish_or_leave(self._carrier, letter)
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
