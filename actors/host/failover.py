"""Gives back the mail that a dead process held: another gets it in milliseconds, not after `ack_wait`.

What the process had told its supervisor is nak'd by name. What the server had sent and the process never
read, because it was busy, stopped, or died on the way, it cannot have told: that is the mail of its mailboxes
which is pending after the newest it had seen and which no living process holds.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from actors.cast import table
from actors.host.datadir import DataDir
from actors.process.held import Held, prefix_of
from actors.process.strikes import count_dead
from bus.errors import BusError
from bus.jetstream import JetStreamCarrier
from bus.loops.poison import MOST_STRIKES
from bus.server.topology import filters_of
from bus.structured import structlog
from bus.subjects import MAIL_STREAM

log = structlog.get_logger("actors")

Living = Callable[[], Iterable[str]]

_LONGEST_S = 2.0
"""A server that does not answer must not keep a process from being started again."""

_LOOKS_S = (0.02, 0.1, 0.5)

_MOST_UNSEEN = 1024
"""More than a mailbox's window; what is beyond comes back after `ack_wait`."""


class Failover:
    """Naks with the supervisor's login, which may do nothing else, and looks with the admin's."""

    def __init__(self, supervisor: JetStreamCarrier, admin: JetStreamCarrier, data_dir: DataDir) -> None:
        self._data_dir = data_dir
        self._later: set[asyncio.Task[None]] = set()
        self._supervisor = supervisor
        self._admin = admin

    async def release(self, name: str, held: Held, living: Living) -> None:
        """Give back what a dead process held; `living` returns the ack subjects that others hold now.

        What killed it is counted before anybody gets that mail again.
        """
        with _never_raising(name):  # a mark that cannot be counted now is counted by who starts next
            for actor in _actors(name):
                for mailbox, seq, strikes in count_dead(self._data_dir.strikes(actor)):
                    _tell(mailbox, seq, strikes, name)
        with _never_raising(name):
            async with asyncio.timeout(_LONGEST_S):
                await self._supervisor.give_back(_own(name, held.subjects))
                await self._look(name, held, living)
        later = asyncio.create_task(self._look_again(name, held, living))
        self._later.add(later)
        later.add_done_callback(self._later.discard)

    async def _look_again(self, name: str, held: Held, living: Living) -> None:
        """Look again: until the server notices a death it goes on sending mail to the dead."""
        for pause_s in _LOOKS_S:
            await asyncio.sleep(pause_s)
            with _never_raising(name):
                await self._look(name, held, living)

    async def _look(self, name: str, held: Held, living: Living) -> None:
        for mailbox in mailboxes_of(name):
            await self._supervisor.give_back(await self._unseen(mailbox, held, living))

    async def close(self) -> None:
        for later in list(self._later):
            later.cancel()
        await asyncio.gather(*self._later, return_exceptions=True)

    async def _unseen(self, mailbox: str, held: Held, living: Living) -> list[str]:
        """Return ack subjects of what is pending, was never seen, and is nobody's.

        The server takes a nak by the stream's sequence, if the consumer's is one it has given out.
        """
        prefix = _prefix(mailbox)
        info = await self._admin.api(f"$JS.API.CONSUMER.INFO.{MAIL_STREAM}.{mailbox}", {})
        if not info.get("num_ack_pending"):
            return []
        seen = max(held.newest.get(prefix, 0), info["ack_floor"]["stream_seq"])
        delivered = info["delivered"]
        found = await self._mail(mailbox, seen + 1, delivered["stream_seq"])
        theirs = {int(subject.split(".")[-4]) for subject in living() if prefix_of(subject) == prefix}
        return [f"{prefix}.1.{seq}.{delivered['consumer_seq']}.0.0" for seq in found if seq not in theirs]

    async def _mail(self, mailbox: str, start: int, end: int) -> list[int]:
        found: list[int] = []
        for pattern in filters_of(table().mailbox(mailbox)):
            first = start
            while first <= end and len(found) < _MOST_UNSEEN:
                page = await self._admin.read(MAIL_STREAM, pattern, first)
                if not page:
                    break
                found += [stored.seq for stored in page if stored.seq <= end]
                first = page[-1].seq + 1
        return found


def _actors(process: str) -> list[str]:
    """Return the actor that a process is of, by its name: the second one is `<actor>-2`."""
    return [actor for actor in table().processes if process == actor or process.startswith(f"{actor}-")]


def mailboxes_of(process: str) -> list[str]:
    """Return the mailboxes that a process serves, by its name."""
    return [mailbox.name for actor in _actors(process) for mailbox in table().mailboxes_of(actor)]


def _tell(mailbox: str, seq: int, strikes: int, process: str) -> None:
    """Say on the terminal of `coo up` what killed a process; the role itself may be past telling anybody."""
    if strikes < MOST_STRIKES:
        log.warning("mail.killed", mailbox=mailbox, seq=seq, strikes=strikes, process=process)
    elif table().mailbox(mailbox).orders:
        log.error("order.killed", mailbox=mailbox, seq=seq, strikes=strikes, so="it is answered as failed")
    else:
        log.error("mail.quarantined", mailbox=mailbox, seq=seq, strikes=strikes, fix=f"coo bury {seq}")


def _prefix(mailbox: str) -> str:
    return f"$JS.ACK.{MAIL_STREAM}.{mailbox}"


def _own(process: str, ack_subjects: Iterable[str]) -> list[str]:
    """Return the ack subjects that a process can hold: it might tell any."""
    prefixes = {_prefix(mailbox) for mailbox in mailboxes_of(process)}
    return [subject for subject in ack_subjects if prefix_of(subject) in prefixes]


@contextmanager
def _never_raising(name: str) -> Iterator[None]:
    """Only log what goes wrong: the mail then comes back after `ack_wait`."""
    try:
        yield
    except (BusError, TimeoutError, OSError) as error:
        log.warning("failover.failed", process=name, reason=str(error) or "no answer in time")
