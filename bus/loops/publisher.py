"""Publishing letters so that each is in the log exactly once, in order per (mission, addressee).

One letter of such a pair is unacked at a time; pairs are pipelined.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Protocol

from bus.acked import acked
from bus.bounds import whole
from bus.envelope import Outgoing, decided_at, digest, version_of
from bus.errors import DecisionChanged
from bus.ports import Behind, Carrier
from bus.structured import structlog
from bus.subjects import MAIL_STREAM, lane_of, parse_mail, stream_of

log = structlog.get_logger("bus")

_PAUSE_S = 0.05


class Waiter(Protocol):
    """Whoever needs to know what became of a letter."""

    def is_wanted(self) -> bool:
        """Say whether the letter is still to be published; its key may have been stopped meanwhile."""
        ...

    def published(self) -> None: ...

    def halted(self, error: DecisionChanged) -> None: ...


class Ignored:
    """Nobody needs to know."""

    def is_wanted(self) -> bool:
        return True

    def published(self) -> None: ...

    def halted(self, error: DecisionChanged) -> None: ...


class Signal:
    """Tells a future when a letter is in the log."""

    def __init__(self, future: asyncio.Future[None]) -> None:
        self._future = future

    def is_wanted(self) -> bool:
        return True

    def published(self) -> None:
        if not self._future.done():
            self._future.set_result(None)

    def halted(self, error: DecisionChanged) -> None:
        if not self._future.done():
            self._future.set_exception(error)


async def publish_surely(carrier: Carrier, message: Outgoing, *, patient: bool = True) -> int:
    """Publish a message until the server has it as this very message, and return its sequence.

    Raises:
        DecisionChanged: the log holds another letter of ours under this id.
        NotPermitted: the broker refuses the subject.
        StoreRefused, PublishRefused: as `acked`.
    """
    while True:
        ack = await acked(carrier, message, patient=patient)
        if not ack.duplicate:
            return ack.seq
        squatted = await _compare(carrier, message, ack.seq)
        if squatted is None:
            return ack.seq
        message = squatted


async def publish_or_leave(carrier: Carrier, message: Outgoing) -> None:
    """Publish a message, or leave what stands under its id in our own name: only our own account wrote it.

    Raises:
        NotPermitted, PublishRefused: as `publish_surely`.
    """
    try:
        await publish_surely(carrier, message)
    except DecisionChanged as error:
        log.critical("letter.disputed", subject=message.subject, error=str(error))


async def _compare(carrier: Carrier, message: Outgoing, seq: int) -> Outgoing | None:
    """Return None if the log holds this letter, or the letter under an id that nobody occupies."""
    stream = stream_of(message.subject) or MAIL_STREAM
    behind = Behind(stream, seq)
    while (stored := await carrier.get(stream, seq)) is None:
        await behind.wait()
    if message.same_as(stored):
        return None
    if stored.subject == message.subject and stream == MAIL_STREAM:
        address = parse_mail(message.subject)
        at = whole(message.headers.get("coo-at", "")) or 0
        if 0 < decided_at(stored) < at:  # the mail is a second one under an id that was answered: that stands
            log.warning("letter.answered_before", subject=message.subject, seq=seq)
            return None
        raise DecisionChanged(address.sender, address.mission, seq, at, version_of(stored))
    log.critical("id.squatted", id=message.id, squatter=stored.subject, seq=seq)
    return message.under_id(digest(message.id, seq))


class Publisher:
    """Lanes of letters, one a (mission, addressee)."""

    def __init__(self, carrier: Carrier) -> None:
        self._carrier = carrier
        self._lanes: dict[str, deque[tuple[Outgoing, Waiter]]] = {}
        self.tasks: dict[asyncio.Task[None], None] = {}
        self._failed: asyncio.Future[BaseException] = asyncio.get_running_loop().create_future()

    def send(self, message: Outgoing, waiter: Waiter) -> None:
        """Queue a letter; the waiter hears of it once the server has it."""
        name = lane_of(message.subject)
        lane = self._lanes.get(name)
        if lane is not None:
            lane.append((message, waiter))
            return
        lane = self._lanes[name] = deque([(message, waiter)])
        task = asyncio.create_task(self._work(name, lane))
        self.tasks[task] = None
        task.add_done_callback(self._finished)

    async def _work(self, name: str, lane: deque[tuple[Outgoing, Waiter]]) -> None:
        while lane:
            message, waiter = lane[0]
            if not waiter.is_wanted():
                lane.popleft()
                continue
            try:
                await publish_surely(self._carrier, message)
            except DecisionChanged as error:
                waiter.halted(error)
                lane.clear()
                break
            lane.popleft()
            waiter.published()
        del self._lanes[name]

    def _finished(self, task: asyncio.Task[None]) -> None:
        self.tasks.pop(task, None)
        if not task.cancelled() and (error := task.exception()) and not self._failed.done():
            self._failed.set_result(error)

    async def failed(self) -> BaseException:
        """Wait for an error that ends the process."""
        return await asyncio.shield(self._failed)

    async def stop(self) -> None:
        """Give up what is still being published: the next fold of its mail publishes it again."""
        for task in list(self.tasks):
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
