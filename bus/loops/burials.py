"""Burials: mail that the operator had every fold skip, because it kills whoever decides it.

A fold must know of a burial before it comes to the buried mail, which is earlier in the log; so burials are
read before a key is folded. A fold that decided mail which was buried later is thrown away and begun anew.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from bus import subjects
from bus.envelope import Stored
from bus.ports import Carrier
from bus.reading import every
from bus.subjects import MAIL_STREAM, Wanted
from bus.table import BURIED, OPERATOR, Buried


def found_in(mail: Iterable[Stored]) -> dict[int, str]:
    """Return what the burials among a mailbox's mail bury: sequence, and why."""
    found: dict[int, str] = {}
    for stored in mail:
        address = subjects.address_of(stored.subject)
        if address is not None and (address.kind, address.sender) == (BURIED, OPERATOR):
            try:
                buried = msgspec.json.decode(stored.body, type=Buried)
            except (msgspec.DecodeError, UnicodeDecodeError):
                continue  # the fold refuses it
            if buried.seq < stored.seq:
                found[buried.seq] = buried.reason
    return found


async def read(carrier: Carrier, mailbox: str, mission: Wanted) -> dict[int, str]:
    """Read the burials in a mailbox, of one mission or of all (`ANY`)."""
    pattern = subjects.mail_filter(mission, mailbox, BURIED, OPERATOR)
    return found_in([stored async for stored in every(carrier, MAIL_STREAM, pattern)])
