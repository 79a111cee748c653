"""The `error` letters of a loop itself: a key stands still, and a person must look.

Their ids follow from what they tell, so that every process that finds the same tells it once.
"""

from __future__ import annotations

from bus import subjects
from bus.envelope import Outgoing, base_headers, digest, encode
from bus.errors import BusError, DecisionChanged, Quarantined
from bus.table import Error, Table


def decision_changed(table: Table, error: DecisionChanged, now_ns: int) -> Outgoing:
    """Tell that this code and the log disagree about a mission."""
    letter_id = halt_id(error.key, error.role, error.seq)
    return _alarm(table, error.role, error.key, error, error.seq, "decision_changed", letter_id, now_ns)


def halt_id(key: str, role: str, seq: int) -> str:
    """Return the id of the letter that tells of a halt: the same from every process."""
    return digest("halted", key, role, seq)


def quarantined(table: Table, mission: str, error: Quarantined, now_ns: int) -> Outgoing:
    """Tell that a mail of a mission kills whoever decides it."""
    letter_id = quarantine_id(mission, error.role, error.seq)
    return _alarm(table, error.role, mission, error, error.seq, "quarantined", letter_id, now_ns)


def quarantine_id(mission: str, role: str, seq: int) -> str:
    """Return the id of the letter that tells of a quarantine: the same from every process."""
    return digest("quarantined", mission, role, seq)


def _alarm(
    table: Table, role: str, mission: str, error: BusError, seq: int, reason: str, letter_id: str, now_ns: int
) -> Outgoing:
    body = Error(mailbox=role, seq=seq, reason=reason, detail=str(error))
    headers = base_headers(letter_id, role, "error", now_ns)
    return Outgoing(subjects.mail(mission, table.hears(role), "error", role), headers, encode(body))
