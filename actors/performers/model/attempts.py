"""What the log says of the attempts at one order: one may cost its worst case, and one is used."""

from __future__ import annotations

import msgspec

from actors import messages as m
from bus import subjects
from bus.bounds import whole
from bus.envelope import Mail, Stored, decided_at, readable
from bus.ports import Carrier
from bus.reading import every
from bus.subjects import MAIL_STREAM
from bus.table import Table


class Attempt(msgspec.Struct, kw_only=True):
    """What the log says of one attempt."""

    granted: m.Granted | None = None
    granted_at: int = 0
    refused: m.Refused | None = None
    settled: m.Settle | None = None
    voided: bool = False
    nonce: str = ""


def ordinal_of(message: msgspec.Struct, order_id: str) -> str | int | None:
    """Return which letter about an order a message is, None if it is about another order.

    A reserve and a bill are one an attempt; `sent` and `void` are one an attempt and process.
    """
    match message:
        case m.Reserve(attempt=attempt) | m.Settle(attempt=attempt):
            call_id, _, n = attempt.rpartition(".")
            return n if call_id == order_id else None
        case m.Sent(attempt=attempt, nonce=nonce) | m.Void(attempt=attempt, nonce=nonce):
            call_id, _, n = attempt.rpartition(".")
            return f"{n}.{nonce}" if call_id == order_id else None
        case _:
            return 0


async def attempts_at(order: Mail, mailbox: str, table: Table, carrier: Carrier) -> dict[int, Attempt]:
    """Read what the log says of every attempt of a model mailbox at an order, by its number."""
    attempts: dict[int, Attempt] = {}
    for pattern in (
        subjects.mail_filter(order.mission, "budget", sender=mailbox),
        subjects.mail_filter(order.mission, mailbox, sender="budget"),
    ):
        async for stored in every(carrier, MAIL_STREAM, pattern, order.at + 1, whole=False):
            note(attempts, stored, order.id, table)
    return attempts


def note(attempts: dict[int, Attempt], stored: Stored, order_id: str, table: Table) -> None:
    """Add to the attempts at an order what a message says of one of them; another order's is passed over."""
    mail = readable(table, stored)
    if mail is None:
        return
    name = getattr(mail.message, "attempt", "")
    call_id, _, text = name.rpartition(".")
    number = whole(text)
    if call_id != order_id or number is None:
        return
    attempt = attempts.setdefault(number, Attempt())
    match mail.message:
        case m.Granted() as granted:
            attempt.granted, attempt.granted_at = granted, decided_at(stored)
        case m.Refused() as refused:
            attempt.refused = refused
        case m.Sent(nonce=nonce):
            attempt.nonce = attempt.nonce or nonce
        case m.Settle() as settled:
            attempt.settled = attempt.settled or settled
        case m.Void(nonce=nonce):  # not after the `sent` of another process: that one goes on
            attempt.voided |= not attempt.nonce or attempt.nonce == nonce
