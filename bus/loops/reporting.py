"""Telling what a loop cannot decide: a key is stopped, and a person must look."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Protocol

from bus import subjects
from bus.envelope import Stored
from bus.errors import BusError, DecisionChanged, NewerVersion, Quarantined
from bus.fold import Role
from bus.loops import alarms
from bus.loops.past import Past
from bus.loops.publisher import Ignored, Publisher
from bus.ports import Carrier
from bus.structured import structlog
from bus.subjects import COMPANY
from bus.table import Table

log = structlog.get_logger("bus")


class Stopped(Protocol):
    """A key that goes no further, and why."""

    name: str
    error: BusError | None


class Reporter:
    """Tells for one role. `die` ends the process: the guard's, whose only key is stopped; fail closed."""

    def __init__(
        self,
        role: Role[Any],
        table: Table,
        carrier: Carrier,
        past: Past,
        publisher: Publisher,
        die: Callable[[BaseException], None],
    ) -> None:
        self._role = role
        self._table = table
        self._carrier = carrier
        self._past = past
        self._publisher = publisher
        self._die = die
        self._per_company = table.mailbox(role.name).per == "company"
        self.tasks: dict[asyncio.Task[None], None] = {}

    def halted(self, key: Stopped, error: DecisionChanged | NewerVersion) -> None:
        """Tell the company that a key is stopped.

        Where a later version has written, that one is not disputed: the mission goes on when it runs.
        """
        newer: NewerVersion | None
        if isinstance(error, DecisionChanged) and error.version > self._role.version:
            newer = NewerVersion(f"letter {error.seq} is by version {error.version} of {self._role.name}")
        else:
            newer = error if isinstance(error, NewerVersion) else None
        if self._per_company:
            self._die(newer or error)
        elif isinstance(error, NewerVersion):
            log.critical("version.newer", role=self._role.name, key=key.name, error=str(error))
        else:
            task = asyncio.create_task(self._changed(key, error, newer))
            self.tasks[task] = None
            task.add_done_callback(self._told)

    async def _changed(self, key: Stopped, error: DecisionChanged, newer: NewerVersion | None) -> None:
        if newer is not None and error.version <= (await self._past.announced()).before(error.seq):
            key.error = newer
            log.critical("version.newer", role=self._role.name, key=key.name, error=str(newer))
            return
        log.critical("decision.changed", role=self._role.name, key=key.name, error=str(error))
        self._publisher.send(alarms.decision_changed(self._table, error, self._carrier.now_ns()), Ignored())

    def _told(self, task: asyncio.Task[None]) -> None:
        self.tasks.pop(task, None)
        if not task.cancelled() and (error := task.exception()):
            self._die(error)

    def quarantined(self, key: Stopped, error: Quarantined, stored: Stored) -> None:
        """Tell that a mail kills whoever decides it."""
        log.critical("mail.quarantined", role=self._role.name, key=key.name, error=str(error))
        mission = subjects.mission_of(stored.subject)
        if mission != COMPANY:
            alarm = alarms.quarantined(self._table, mission, error, self._carrier.now_ns())
            self._publisher.send(alarm, Ignored())
