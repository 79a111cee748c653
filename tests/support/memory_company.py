"""The whole company in one process, on the log in memory; its actors can be killed and started again."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import msgspec

from actors import messages as m
from actors.process.wiring import loops, serve
from actors.roles.budget.role import ROLE as GUARD
from actors.roles.budget.role import Ledger
from actors.table import TABLE
from bus import blobs
from bus.envelope import Stored, open_letter
from bus.fold import Fold
from bus.memory import MemoryServer
from bus.server.topology import topology
from config.parts import decode
from config.settings import load
from config.split import part

LIMITS = m.Limits(day_microusd=20_000_000, month_microusd=200_000_000, mission_microusd=1_000_000)
MODELS = {"coo": "scripted", "engineer": "scripted", "qa": "scripted"}
OVER: tuple[m.State, ...] = ("completed", "failed", "cancelled")


class MemoryCompany:
    """Actors as tasks. `start` may be called several times for one role: they share its mailbox."""

    def __init__(self, ack_wait_s: int, settings: dict[str, Any]) -> None:
        self.clock_shift_ns = 0
        shape = topology(TABLE, ack_wait_s=ack_wait_s)
        self.server = MemoryServer(shape, clock=lambda: time.time_ns() + self.clock_shift_ns)
        given = {"sandbox": {"backend": "bubblewrap"}, "bus": {"ack_wait_s": ack_wait_s}, **settings}
        self._settings = load(None, given)
        self._running: list[tuple[str, Any, asyncio.Task[None], asyncio.Event]] = []
        self.ceo = self.server.connect()

    def start(self, process: str) -> None:
        carrier, stop = self.server.connect(), asyncio.Event()
        config = decode(part(self._settings, process, TABLE.needs_of(process)))
        task = asyncio.create_task(serve(loops(process, carrier, config), stop))
        self._running.append((process, carrier, task, stop))

    async def kill(self, process: str) -> None:
        """End one process of a role as `kill -9` would."""
        entry = next(entry for entry in self._running if entry[0] == process)
        self._running.remove(entry)
        entry[1].kill()
        entry[2].cancel()
        await asyncio.gather(entry[2], return_exceptions=True)

    async def stop(self) -> None:
        """Drain every actor, and raise what one of them died of."""
        for _, _, _, stop in self._running:
            stop.set()
        ended = await asyncio.gather(*(entry[2] for entry in self._running), return_exceptions=True)
        self.server.close()
        for error in ended:
            if error is not None:
                raise error

    async def say(self, to: str, mission: str, message: msgspec.Struct, id: str = "") -> None:
        """Publish something the CEO says."""
        letter = open_letter(
            TABLE,
            sender="ceo",
            to=to,
            mission=mission,
            message=message,
            id=id or f"say-{time.time_ns()}",
            time_ns=time.time_ns(),
        )
        await self.ceo.publish(letter)

    async def mission(self, goal: str, mission: str = "m-1", budget: int = 1_000_000, **terms: Any) -> str:
        given = m.Mission(goal=goal, budget_microusd=budget, terms=m.Terms(models=MODELS, **terms))
        await self.say("coo", mission, given, id=f"mission-{mission}")
        return mission

    def mail(self, pattern: Callable[[str], bool] = lambda subject: True) -> list[Stored]:
        return [stored for stored in self.server.stream("COO").messages if pattern(stored.subject)]

    def messages(self, mission: str, to: str, kind: str) -> list[Any]:
        """Return decoded messages of one kind to one addressee."""
        found = self.mail(lambda subject: subject.startswith(f"coo.m.{mission}.{to}.{kind}."))
        rows = {row.kind: row.message for row in TABLE.rows}
        return [msgspec.json.decode(stored.body, type=rows[kind]) for stored in found]

    def status(self, mission: str = "m-1") -> m.Status | None:
        found = self.messages(mission, "ceo", "status")
        return max(found, key=lambda status: status.at, default=None)

    async def until(
        self, *states: m.State, mission: str = "m-1", timeout_s: float = 30.0, later_than: int = -1
    ) -> m.Status:
        """Wait until a mission is in one of the states, by a status decided after `later_than`."""
        try:
            async with asyncio.timeout(timeout_s):
                while True:
                    status = self.status(mission)
                    if status is not None and status.state in states and status.at > later_than:
                        return status
                    self._raise_failures()
                    await asyncio.sleep(0.01)
        except TimeoutError:
            why = [r for r in self.messages(mission, "coo", "result") if r.status in ("rejected", "failed")]
            raise AssertionError(f"{mission} is {self.status(mission)}, not {states}: {why}") from None

    def _raise_failures(self) -> None:
        for _, _, task, _ in self._running:
            if task.done():
                task.result()

    async def deliverable(self, mission: str = "m-1") -> dict[str, bytes]:
        status = self.status(mission)
        assert status is not None
        return {path: await blobs.get(self.ceo, ref) for path, ref in status.deliverable.items()}

    def ledger(self) -> Ledger:
        """Fold the guard's mail without `close`, so that every hold of every mission is still there."""
        fold: Fold[Ledger] = Fold(TABLE, GUARD)
        for stored in self.mail(lambda subject: ".budget." in subject and ".budget.close." not in subject):
            if stored.subject.split(".")[3] == "budget":
                fold.apply(stored)
        return fold.state

    def letters(self) -> list[tuple[str, str]]:
        """Return (subject, ce-id) of everything in the log but checkpoints."""
        return [
            (stored.subject, stored.headers["ce-id"])
            for stored in self.mail(lambda subject: ".checkpoint." not in subject)
        ]


@asynccontextmanager
async def memory_company(
    replicas: int = 1, ack_wait_s: int = 3, **settings: Any
) -> AsyncIterator[MemoryCompany]:
    """Run every actor on a log in memory, with limits published."""
    company = MemoryCompany(ack_wait_s, settings)
    for process in TABLE.processes * replicas:
        company.start(process)
    await company.say("budget", "company", LIMITS, id="limits")
    try:
        yield company
    finally:
        await company.stop()
