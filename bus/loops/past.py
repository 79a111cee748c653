"""What the log has of a role: where a fold begins, the mail after that, the letters already written."""

from __future__ import annotations

from typing import Any

from bus import blobs, subjects
from bus.envelope import Outgoing, Stored
from bus.fold import Role
from bus.loops import burials, checkpoints, releases
from bus.loops.checkpoints import Start
from bus.loops.poison import Deaths
from bus.loops.versions import Predecessor
from bus.ports import Carrier
from bus.reading import every, first
from bus.subjects import ANY, DLQ_STREAM, MAIL_STREAM, Wanted, mailbox_filter
from bus.table import Announced, Table


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
        return await self._carrier.read(MAIL_STREAM, pattern, start, whole=not self._per_company)

    async def whole(self, stored: Stored) -> Stored:
        """Return mail with what its body stands for, where the role's mailbox takes such mail."""
        return stored if self._per_company else await blobs.whole(self._carrier, stored)

    async def letters(self, key: str, start: int) -> dict[str, Stored]:
        """Return what the role has already sent for a key, by letter id, from a sequence on."""
        mission = self._missions(key)
        found: dict[str, Stored] = {}
        for stream, pattern, since in (
            (MAIL_STREAM, subjects.mail_filter(mission, sender=self._role.name), start),
            (DLQ_STREAM, subjects.dead_letter_filter(self._role.name, mission), 1),
        ):
            async for stored in every(self._carrier, stream, pattern, since, whole=False):
                found[stored.headers.get("ce-id", "")] = stored
        return found

    async def has_dead(self, copy: Outgoing) -> bool:
        """Say whether a dead letter is in its stream, however long ago it was written."""

        def same(stored: Stored) -> bool:
            return stored.headers.get("ce-id") == copy.id

        return await first(self._carrier, DLQ_STREAM, subjects.only(copy.subject), 1, same) is not None

    async def announced(self) -> Announced:
        """Return what the operator has announced of this role's versions."""
        return await releases.read(self._carrier, self._role.name)

    async def burials(self, key: str) -> dict[int, str]:
        """Return what the operator has buried: sequence, and why."""
        return await burials.read(self._carrier, self._role.name, self._missions(key))
