"""Gives back the mail that a dead process held: another gets it in milliseconds, not after `ack_wait`.

What the process had told its supervisor is nak'd by name. What the server had sent and the process never
read, because it was busy, stopped, or died on the way, it cannot have told: that is the mail of its mailboxes
which is pending after the newest it had seen and which no living process holds.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from actors.held import Held, prefix_of
from actors.table import TABLE
from bus.errors import BusError
from bus.jetstream import JetStreamCarrier
from bus.structured import structlog
from bus.subjects import MAIL_STREAM
from bus.topology import filters_of

log = structlog.get_logger("actors")

_LONGEST_S = 2.0
"""A server that does not answer must not keep a process from being started again."""

_MOST_UNSEEN = 1024
"""More than a mailbox's window; what is beyond comes back after `ack_wait`."""


class Failover:
    """Naks with the supervisor's login, which may do nothing else, and looks with the admin's."""

    def __init__(self, supervisor: JetStreamCarrier, admin: JetStreamCarrier) -> None:
        self._supervisor = supervisor
        self._admin = admin

    async def release(self, name: str, held: Held, living: Iterable[str]) -> None:
        """Give back what a dead process held; `living` are the ack subjects that others hold."""
        try:
            async with asyncio.timeout(_LONGEST_S):
                taken = set(living)
                for mailbox in _mailboxes(name):
                    prefix = f"$JS.ACK.{MAIL_STREAM}.{mailbox}"
                    own = [subject for subject in held.subjects if prefix_of(subject) == prefix]
                    await self._supervisor.give_back(own)
                    await self._supervisor.give_back(await self._unseen(mailbox, prefix, held, taken))
        except (BusError, TimeoutError) as error:
            log.warning("failover.failed", process=name, reason=str(error) or "no answer in time")

    async def _unseen(self, mailbox: str, prefix: str, held: Held, living: set[str]) -> list[str]:
        """Return ack subjects of what is pending, was never seen, and is nobody's.

        The server takes a nak by the stream's sequence, if the consumer's is one it has given out.
        """
        info = await self._admin.api(f"$JS.API.CONSUMER.INFO.{MAIL_STREAM}.{mailbox}", {})
        if not info.get("num_ack_pending"):
            return []
        seen = max(held.newest.get(prefix, 0), info["ack_floor"]["stream_seq"])
        delivered = info["delivered"]
        theirs = {int(subject.split(".")[-4]) for subject in living if prefix_of(subject) == prefix}
        found = await self._mail(mailbox, seen + 1, delivered["stream_seq"])
        return [f"{prefix}.1.{seq}.{delivered['consumer_seq']}.0.0" for seq in found if seq not in theirs]

    async def _mail(self, mailbox: str, start: int, end: int) -> list[int]:
        found: list[int] = []
        for pattern in filters_of(TABLE.mailbox(mailbox)):
            first = start
            while first <= end and len(found) < _MOST_UNSEEN:
                page = await self._admin.read(MAIL_STREAM, pattern, first)
                if not page:
                    break
                found += [stored.seq for stored in page if stored.seq <= end]
                first = page[-1].seq + 1
        return found


def _mailboxes(process: str) -> list[str]:
    """Return the mailboxes of an actor's process, of its second one (`<actor>-2`) too."""
    actors = [actor for actor in TABLE.processes if process == actor or process.startswith(f"{actor}-")]
    return [mailbox.name for actor in actors for mailbox in TABLE.mailboxes_of(actor)]
