"""Dead letters as a person names them: by their number."""

from __future__ import annotations

from actors.errors import Kind, UserError
from bus.deadletters import Entry, entry_of
from bus.envelope import Stored
from bus.ports import Carrier
from bus.subjects import DLQ_STREAM


async def find(carrier: Carrier, seq: int) -> Stored:
    """Return a dead letter.

    Raises:
        UserError: there is none of this number.
    """
    stored = await carrier.get(DLQ_STREAM, seq) if seq < 2**63 else None
    if stored is None:
        raise UserError(Kind.NOT_FOUND, f"There is no dead letter {seq}.", "See them: coo dlq ls.")
    return stored


def entry_in(stored: Stored) -> Entry:
    """Read an entry, whatever its writer put into its headers.

    Raises:
        UserError: it cannot be read; nobody but its mailbox's process can have written that.
    """
    try:
        return entry_of(stored)
    except (ValueError, TypeError, AttributeError) as error:
        what = f"Dead letter {stored.seq} is not one that the company writes: its headers cannot be read."
        raise UserError(Kind.CONFLICT, what, f"See its bytes: coo dlq show {stored.seq} --raw.") from error
