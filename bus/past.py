"""What the log has of a role: where a fold begins, the mail after that, the letters already written."""

from __future__ import annotations

from typing import Any

from bus import burials, checkpoints, releases, subjects
from bus.checkpoints import Start
from bus.envelope import Outgoing, Stored
from bus.fold import Role
from bus.poison import Deaths
from bus.ports import Carrier
from bus.subjects import ANY, DLQ_STREAM, MAIL_STREAM, Wanted, mailbox_filter
from bus.table import Announced, Table
from bus.versions import Predecessor


class Past:
    """Reads the log for one role. A key is a mission, or the company."""

    def __init__(self, carrier: Carrier, table: Table, role: Role[Any]) -> None:
        self._carrier = carrier
        self._table = table
        self._role = role
        self._per_company = table.mailbox(role.name).per == "company"

    def _missions(self, key: str) -> Wanted:
        return ANY if self._per_company else key

    async def start(self, key: str) -> Start:
        """Return the newest checkpoint as a fold, or one that has seen nothing; see `checkpoints.load`."""
        return await checkpoints.load(self._carrier, self._table, self._role, key)

    def predecessor(self, key: str, deaths: Deaths) -> Predecessor:
        """Return what compares this version with what a lower one decided."""
        return Predecessor(self._carrier, self._role, key, self._missions(key), deaths)

    async def mail(self, key: str, start: int) -> list[Stored]:
        """Return the next mail from a sequence on; none, if none was there when the server looked."""
        pattern = mailbox_filter(self._role.name, self._missions(key))
        return await self._carrier.read(MAIL_STREAM, pattern, start)

    async def letters(self, key: str, start: int) -> dict[str, Stored]:
        """Return what the role has already sent for a key, by letter id, from a sequence on."""
        mission = self._missions(key)
        found: dict[str, Stored] = {}
        for stream, pattern, since in (
            (MAIL_STREAM, subjects.mail_filter(mission, sender=self._role.name), start),
            (DLQ_STREAM, subjects.dead_letter_filter(self._role.name, mission), 1),
        ):
            while page := await self._carrier.read(stream, pattern, since):
                found.update((stored.headers.get("ce-id", ""), stored) for stored in page)
                since = page[-1].seq + 1
        return found

    async def has_dead(self, copy: Outgoing) -> bool:
        """Say whether a dead letter is in its stream, however long ago it was written."""
        pattern, since = subjects.only(copy.subject), 1
        while page := await self._carrier.read(DLQ_STREAM, pattern, since):
            if any(stored.headers.get("ce-id") == copy.id for stored in page):
                return True
            since = page[-1].seq + 1
        return False

    async def announced(self) -> Announced:
        """Return what the operator has announced of this role's versions."""
        return await releases.read(self._carrier, self._role.name)

    async def burials(self, key: str) -> dict[int, str]:
        """Return what the operator has buried: sequence, and why."""
        return await burials.read(self._carrier, self._role.name, self._missions(key))
