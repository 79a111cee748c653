"""What may still be written of a mission after its end: what was under way, and nothing else.

A role sends nothing that it decided after it was told of the end; only what a person still says is answered.
Whatever else is written follows, in a few steps, from what was there before the end: the answer to an order,
what is decided on it before the end is known there, and the answer to that. A longer chain does not end.
"""

from __future__ import annotations

from bus.envelope import Mail, Stored, decided_at
from bus.subjects import Address
from bus.table import CHECKPOINT, ERROR, Halts, Table

MOST_STEPS = 3
"""From what was there before the end: the drop for an earlier pause, the order again, its drop for good."""


class Silence:
    """Is shown the messages of a log in their order, but for those that are known to be forged."""

    def __init__(self, table: Table, halts: Halts) -> None:
        self._table = table
        self._halts = halts
        self._ended: dict[str, int] = {}
        self._told: dict[tuple[str, str], int] = {}
        self._steps: dict[tuple[str, str], int] = {}

    def _note(self, stored: Stored, mail: Mail) -> None:
        """Remember where a mission ended, and where whom was told of it."""
        if mail.kind == self._halts.end:
            self._told.setdefault((mail.mission, mail.to), stored.seq)
        elif self._halts.final(mail.message):
            self._ended.setdefault(mail.mission, stored.seq)
            self._told.setdefault((mail.mission, self._halts.sender), self._halts.at(mail.message))

    def broken_by(self, stored: Stored, mail: Mail, address: Address) -> str:
        """Return why a message may not be there after the end of its mission, or ""."""
        if address.sender == self._halts.sender and address.kind in (self._halts.kind, self._halts.end):
            self._note(stored, mail)
        end = self._ended.get(address.mission)
        if end is None or stored.seq <= end:
            return ""
        cause = stored.headers.get("coo-cause", "")
        steps = self._steps.get((address.mission, cause), 0) + 1
        self._steps[address.mission, f"{address.sender}/{stored.headers.get('ce-id', '')}"] = steps
        if address.kind in (ERROR, CHECKPOINT) or self._is_of_person(address, cause):
            return ""
        told = self._told.get((address.mission, address.sender))
        if told is not None and decided_at(stored) > told and self._is_role(address.sender):
            return f"the mission ended with message {end}, of which {address.sender} was told before this"
        if steps > MOST_STEPS:
            return f"the mission ended with message {end}: this was not under way then"
        return ""

    def _is_of_person(self, address: Address, cause: str) -> bool:
        """Say whether a person writes, or is answered."""
        people = self._table.people
        return address.sender in people or (address.to in people and cause.partition("/")[0] in people)

    def _is_role(self, sender: str) -> bool:
        """Say whether a sender decides for one mission at a time; who serves all of them still answers."""
        return any(
            mailbox.name == sender and not mailbox.orders and mailbox.per == "mission"
            for mailbox in self._table.mailboxes
        )
