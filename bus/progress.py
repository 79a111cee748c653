"""What is under way in a role loop: keys, entries, and the path that mail came by."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any, Protocol

from bus.envelope import Stored
from bus.errors import BusError, DecisionChanged, NewerVersion
from bus.fold import Fold
from bus.ports import Delivery
from bus.versions import Earlier


class Owner(Protocol):
    """The loop, as its keys see it."""

    def handled(self, delivery: Delivery) -> None: ...

    def give_back(self, delivery: Delivery, delay_s: float = 0.0) -> None: ...

    def save(self, key: Key) -> None: ...

    def report_halt(self, key: Key, error: DecisionChanged | NewerVersion) -> None: ...


NEWER_NAK_S = 1.0

HALTED_NAK_S = 60.0
"""How long mail of a halted key is put off: nobody can decide it until a person looked."""


class Entry:
    """A folded mail whose letters are not all in the log yet."""

    def __init__(self, key: Key, seq: int, letters: int) -> None:
        self.key = key
        self.seq = seq
        self.remaining = letters
        self.deliveries: list[Delivery] = []

    def is_wanted(self) -> bool:
        return not isinstance(self.key.error, DecisionChanged | NewerVersion)

    def published(self) -> None:
        self.remaining -= 1
        if self.remaining == 0:
            self.key.advance()

    def halted(self, error: DecisionChanged) -> None:
        self.key.halt(error)


class Key:
    """One key's fold in this process, and what is under way for it."""

    def __init__(self, loop: Owner, name: str) -> None:
        self.loop = loop
        self.name = name
        self.fold: Fold[Any] | None = None
        self.complete_to = 0
        self.ahead: deque[Stored] = deque()
        self.entries: deque[Entry] = deque()
        self.queue: deque[Delivery] = deque()
        self.worker: asyncio.Task[None] | None = None
        self.error: BusError | None = None
        self.in_log: dict[str, Stored] | None = None
        self.earlier: Earlier | None = None
        self.checkpoint_at = 0
        self.snapshot: tuple[int, bytes] | None = None

    @property
    def busy(self) -> bool:
        return bool(self.worker or self.entries or self.queue or self.snapshot)

    def advance(self) -> None:
        """Ack every mail whose letters, and those of all mail before it, are in the log."""
        while self.entries and self.entries[0].remaining == 0:
            for delivery in self.entries.popleft().deliveries:
                self.loop.handled(delivery)
        if self.snapshot and (not self.entries or self.entries[0].seq > self.snapshot[0]):
            self.loop.save(self)

    @property
    def put_off_s(self) -> float:
        """How long its mail is put off: a process of a later version beside this one takes it at once."""
        return NEWER_NAK_S if isinstance(self.error, NewerVersion) else HALTED_NAK_S

    def halt(self, error: DecisionChanged | NewerVersion) -> None:
        """Publish nothing more for this key: the log and this code disagree, or a later version has it."""
        if self.error is not None:
            return
        self.error = error
        self.loop.report_halt(self, error)
        for entry in self.entries:
            for delivery in entry.deliveries:
                self.loop.give_back(delivery, self.put_off_s)
        self.entries.clear()
        self.snapshot = None


class Path:
    """Which deliveries reached this process without a gap.

    `known_from`: every mail of the mailbox after this sequence, up to the newest delivery, came here.
    """

    NOTHING = 2**63

    def __init__(self) -> None:
        self.known_from = self.NOTHING
        self._connection = -1
        self._last = -1

    def note(self, delivery: Delivery) -> None:
        unbroken = delivery.connection == self._connection and delivery.consumer_seq == self._last + 1
        self._connection = delivery.connection
        self._last = delivery.consumer_seq
        if not unbroken:
            self.known_from = self.NOTHING
        if self.known_from == self.NOTHING and delivery.first:
            self.known_from = delivery.stored.seq - 1

    def forget(self) -> None:
        """Trust no delivery before the next one: some of them are to be folded again."""
        self.known_from = self.NOTHING


class Nobody:
    def is_wanted(self) -> bool:
        return True

    def published(self) -> None: ...

    def halted(self, error: DecisionChanged) -> None: ...


class Told:
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
