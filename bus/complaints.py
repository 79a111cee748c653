"""What becomes of mail that cannot be decided: the dead letter, and the `error` that tells the company.

The same in every process, whoever comes across the mail.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from bus import subjects
from bus.envelope import Cause, Outgoing, Stored, digest, seal
from bus.errors import BadMail
from bus.table import BURIED, CHECKPOINT, ERROR, RELEASED, Error, Table

_ADDRESS = re.compile(r"0x[0-9a-fA-F]{6,}")
_DETAIL_CHARS = 500
_QUIET = frozenset({ERROR, CHECKPOINT, BURIED, RELEASED})
"""Kinds whose dead letters raise no further `error`, so that errors cannot breed errors."""


class DeadLetter(NamedTuple):
    """Why a mail was not decided, for the copy in the dead-letter stream."""

    reason: str
    detail: str
    traceback: str


class Decision(NamedTuple):
    """The outcome of folding one mail: what is to be published, and whether it is a dead letter."""

    stored: Stored
    letters: tuple[Outgoing, ...] = ()
    dead: DeadLetter | None = None


def misaddressed(table: Table, mailbox: str, version: int, stored: Stored) -> Decision | None:
    """Decide mail whose subject is not well formed, the same for whoever comes across it; else None.

    It is nobody's: it opens no key, and leaves no trace in the fold of one.
    """
    try:
        subjects.parse_mail(stored.subject)
    except BadMail as error:
        dead = DeadLetter(error.reason, error.detail, "")
        cause = cause_of_unreadable(stored, stored.time_ns)
        return Decision(stored, complaint(table, mailbox, version, stored, dead, cause), dead)
    return None


def cause_of_unreadable(stored: Stored, now_ns: int) -> Cause:
    """Return the cause of a complaint about mail that could not be opened: its place in the log."""
    address = subjects.address_of(stored.subject)
    sender = address.sender if address else "unknown"
    return Cause(sender, digest("unreadable", stored.seq), stored.seq, now_ns, "")


def complaint(
    table: Table, mailbox: str, version: int, stored: Stored, dead: DeadLetter, cause: Cause
) -> tuple[Outgoing, ...]:
    """Return the `error` letter that tells the company of a dead letter, if one may be written."""
    mission, _, kind, _ = subjects.parts_of(stored.subject)
    if not subjects.is_token(mission) or kind in _QUIET:
        return ()
    error = Error(
        mailbox=mailbox, seq=stored.seq, reason=dead.reason, detail=steady(dead.detail)[:_DETAIL_CHARS]
    )
    return (
        seal(
            table,
            sender=mailbox,
            version=version,
            to=table.hears(mailbox),
            mission=mission,
            message=error,
            cause=cause,
        ),
    )


def steady(text: str) -> str:
    """Remove what differs between processes from an error's text: memory addresses."""
    return _ADDRESS.sub("0x…", text)
