"""The port between the loops and whatever carries the log.

Two carriers stand behind it, `bus.jetstream` and `bus.memory`; one contract suite holds both to it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import NamedTuple, Protocol

from bus.envelope import Outgoing, Stored
from bus.errors import ReadEndsEarly
from bus.subjects import Filter, Subject

BEHIND_S = 0.02
"""How long to wait for a follower that answered before it had what was delivered."""

_BEHIND_TIMES = 500


class Behind:
    """Waits for a reader that answered before it had what is known to be there, but not for ever."""

    def __init__(self, stream: str, seq: int) -> None:
        self._stream = stream
        self._seq = seq
        self._times = 0

    async def wait(self) -> None:
        """Wait a moment before the next look.

        Raises:
            ReadEndsEarly: it has been looked for ten seconds long.
        """
        self._times += 1
        if self._times > _BEHIND_TIMES:
            raise ReadEndsEarly(self._stream, self._seq, _BEHIND_TIMES)
        await asyncio.sleep(BEHIND_S)


class PubAck(NamedTuple):
    """The server's answer to a publish: where the message is, and whether it was there before."""

    seq: int
    duplicate: bool


class Delivery(Protocol):
    """A message that a consumer handed to this process, to be acked or nak'd once."""

    @property
    def stored(self) -> Stored: ...

    @property
    def consumer_seq(self) -> int:
        """The consumer's own count of deliveries: contiguous while nobody else gets any."""
        ...

    @property
    def first(self) -> bool:
        """Whether the consumer delivers this message for the first time."""
        ...

    @property
    def connection(self) -> int:
        """A number that changes with every reconnect."""
        ...

    def ack(self) -> None:
        """Tell the server that the message is handled. Not confirmed: a lost ack is a redelivery."""
        ...

    def nak(self, delay_s: float = 0.0) -> None:
        """Give the message back."""
        ...

    def in_progress(self) -> None:
        """Keep the lease for another `ack_wait`."""
        ...


Handler = Callable[[Delivery], Awaitable[None]]


class Leases(Protocol):
    """Told what this process holds, so that somebody can give it back when the process dies."""

    def taken(self, ack_subject: str) -> None: ...

    def settled(self, ack_subject: str, *, handled: bool) -> None:
        """A delivery was acked (`handled`), or given back."""
        ...


class Consumer(Protocol):
    """An open pull on a durable consumer."""

    async def stop(self) -> None:
        """Stop pulling. What was delivered and not acked is the caller's to nak or finish."""
        ...


class Carrier(Protocol):
    """The log, as one principal sees it."""

    @property
    def ordered_reads(self) -> bool:
        """Whether deliveries and reads come from one server, so that a gap-free path needs no read."""
        ...

    def now_ns(self) -> int:
        """This process's clock, in nanoseconds since 1970. Roles never see it."""
        ...

    async def publish(self, message: Outgoing) -> PubAck:
        """Publish and wait for the server's answer.

        Raises:
            Unknown: no answer in time. Repeat with the same message id.
            Occupied: a write-once subject holds a message already.
            NotPermitted: the broker refuses this subject to this principal.
        """
        ...

    async def read(self, stream: str, pattern: Filter, start: int, batch: int = 256) -> list[Stored]:
        """Return up to `batch` messages that match, in order, from sequence `start` on.

        An empty list means that none was there when the server looked. May end early: a read is only
        complete when it returned the sequence that the caller knows of.
        """
        ...

    async def last(self, stream: str, subject: Subject) -> Stored | None:
        """Return the last message of exactly this subject."""
        ...

    async def newest(self, stream: str, pattern: Filter) -> int:
        """Return the sequence of the last message that matches, 0 if there is none."""
        ...

    async def get(self, stream: str, seq: int) -> Stored | None:
        """Return the message at a sequence."""
        ...

    async def consume(self, stream: str, consumer: str, window: int, handler: Handler) -> Consumer:
        """Pull from a durable consumer, at most `window` messages delivered and not yet handled.

        The handler is awaited for each delivery in order; the next one waits for it to return.

        Raises:
            NotSetUp: there is no such consumer.
        """
        ...

    async def listen(self, mailbox: str, on_mail: Callable[[Stored], None]) -> None:
        """Call back with new mail of a mailbox once it is in the log. Some never comes: read the log, too."""
        ...

    async def failed(self) -> BaseException:
        """Wait for an error that no call reports, and return it: the process must end."""
        ...

    async def close(self) -> None:
        """Flush what is being sent and let go of the connection."""
        ...


class Limits(Protocol):
    """What the topology is made with; the caller's configuration satisfies it."""

    ack_wait_s: float
    duplicate_window_s: float
    max_ack_pending: int
    file_store_bytes: int


Headers = Mapping[str, str]
