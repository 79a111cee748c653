"""Streams and consumers as values, derived from a table. Carriers make them; making them twice is safe."""

from __future__ import annotations

from dataclasses import dataclass

from bus import subjects
from bus.subjects import ANY, BLOB_STREAM, DLQ_STREAM, MAIL_STREAM, Filter, mailbox_filter, matches
from bus.table import CHECKPOINT, Mailbox, Table

SECOND_NS = 1_000_000_000
KIB = 1024
GIB = 1024**3

BLOB_STORE_BYTES = 6 * GIB
DLQ_STORE_BYTES = GIB // 2
"""Of the 8 GB that `nats-server.conf` gives the store: files and dead letters leave room for mail, always."""

_MAIL_BYTES, _CHUNK_BYTES, _DEAD_LETTER_BYTES = 128 * KIB, 544 * KIB, 256 * KIB
"""The largest message of each stream: a body of 64 KiB, a chunk of 512 KiB or a copied mail, and headers."""


@dataclass(frozen=True, kw_only=True)
class Stream:
    """A file-backed stream with limits retention, no age limit, no purge, no delete, no rollup.

    `message_bytes` is the largest message with its headers. `store_bytes` is what all may take together: then
    the next is refused, and nothing goes; -1 is without a bound. `hints`: what it stores under the first
    pattern it passes on under the second.
    """

    name: str
    subjects: tuple[str, ...]
    description: str
    duplicate_window_s: float
    message_bytes: int
    store_bytes: int = -1
    write_once: bool = False
    hints: tuple[str, str] | None = None


@dataclass(frozen=True, kw_only=True)
class DurableConsumer:
    """A durable pull consumer with explicit ack and no bound on deliveries."""

    stream: str
    name: str
    filters: tuple[str, ...]
    ack_wait_s: float
    max_ack_pending: int


@dataclass(frozen=True)
class Topology:
    streams: tuple[Stream, ...]
    consumers: tuple[DurableConsumer, ...]

    def stream_of(self, subject: str) -> Stream | None:
        """Return the stream that stores a subject."""
        return next((s for s in self.streams if any(matches(p, subject) for p in s.subjects)), None)


def topology(
    table: Table,
    *,
    ack_wait_s: float = 10.0,
    duplicate_window_s: float = 600.0,
    max_ack_pending: int = 1000,
    blob_store_bytes: int = BLOB_STORE_BYTES,
    dlq_store_bytes: int = DLQ_STORE_BYTES,
) -> Topology:
    """Derive the streams and one durable consumer a mailbox from a table.

    Deliveries are unbounded (`max_deliver` -1): naks, kills and restarts inflate or lose the server's
    count, so nobody reads attempts from it.
    """
    streams = _streams(table, duplicate_window_s, blob_store_bytes, dlq_store_bytes)
    consumers = tuple(
        DurableConsumer(
            stream=MAIL_STREAM,
            name=mailbox.name,
            filters=filters_of(mailbox),
            ack_wait_s=ack_wait_s,
            max_ack_pending=max_ack_pending,
        )
        for mailbox in table.mailboxes
    )
    return Topology(streams, consumers)


def _streams(
    table: Table, duplicate_window_s: float, blob_store_bytes: int, dlq_store_bytes: int
) -> tuple[Stream, ...]:
    return (
        Stream(
            name=MAIL_STREAM,
            subjects=(subjects.STORES[MAIL_STREAM],),
            description="Every message of every mission, in one order",
            duplicate_window_s=duplicate_window_s,
            message_bytes=_MAIL_BYTES,
            hints=_hints(table),
        ),
        Stream(
            name=BLOB_STREAM,
            subjects=(subjects.STORES[BLOB_STREAM],),
            description="Files, by content; each subject is written once",
            duplicate_window_s=duplicate_window_s,
            message_bytes=_CHUNK_BYTES,
            store_bytes=blob_store_bytes,
            write_once=True,
        ),
        Stream(
            name=DLQ_STREAM,
            subjects=(subjects.STORES[DLQ_STREAM],),
            description="Mail that could not be decided, with the reason",
            duplicate_window_s=duplicate_window_s,
            message_bytes=_DEAD_LETTER_BYTES,
            store_bytes=dlq_store_bytes,
        ),
    )


def _hints(table: Table) -> tuple[str, str]:
    """Announce the mail that is read and not delivered; of its sender alone, where that is one.

    nats-server (2.15.1) dies of a message with one byte of headers, if it is to announce it. So only the
    process that anybody waits for can have it announce something.
    """
    orders = {mailbox.name: mailbox.orders for mailbox in table.mailboxes if mailbox.orders}
    waited_for = {
        row.sender for row in table.rows if row.to in orders and row.kind not in (*orders[row.to], CHECKPOINT)
    }
    return subjects.hinted(waited_for.pop() if len(waited_for) == 1 else ANY)


def filters_of(mailbox: Mailbox) -> tuple[Filter, ...]:
    """Return what a mailbox's consumer delivers: all its mail, or the kinds that are orders."""
    if not mailbox.orders:
        return (mailbox_filter(mailbox.name),)
    return tuple(subjects.order_filter(mailbox.name, kind) for kind in mailbox.orders)
