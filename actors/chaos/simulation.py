"""The whole company on a log in memory, played under a seed."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from random import Random
from typing import Any

import msgspec
import structlog

from actors import messages as m
from actors.chaos.ceo import TERMS, Ceo, Said, drawn
from actors.chaos.constants import ACK_WAIT_S, WINDOW_S, config_of
from actors.chaos.faults import ChaosCarrier, Fate, Odds
from actors.chaos.recorded import RECORDED, RecordedBackend
from actors.chaos.shown import Ending, Failed, Shown
from actors.process.wiring import loops, role, serve
from actors.table import CALLERS, TABLE
from bus.bounds import MOST
from bus.envelope import open_letter
from bus.errors import NewerVersion
from bus.fold import Role
from bus.loops.releases import announce
from bus.memory import MemoryServer
from bus.server.topology import topology

GOAL = "Write a word count tool with tests"
"""The reference mission: its work is rejected once and done again."""

ROLES = TABLE.roles
FIRST = len(ROLES) + 2
"""The sequence of the mission: before it are the versions that the operator announces, and the limits."""

START_NS = 1_800_000_000_000_000_000
END_S = 4 * 3600.0
"""Virtual seconds after which a run that has not ended is a failure."""

_BUDGET_MICROUSD = 10**7
"""Enough for every attempt that may be in doubt."""

_BUSY_S = 30.0
"""Virtual seconds in which a mission is usually played."""

_LOUD_S = 5.0
"""Virtual seconds in which a mission that is not silent after its end is heard."""


@cache
def _record() -> dict[str, list[object]]:
    record: dict[str, list[object]] = json.loads(RECORDED.read_text("utf-8"))
    return record


Next = Callable[[Role[Any]], Role[Any]]
"""What the next version of a role is."""


def unchanged(before: Role[Any]) -> Role[Any]:
    """Return the next version of a role that decides as it did."""
    return replace(before, version=before.version + 1)


class Simulation(Shown):
    """The company on a log in memory; processes die and come back as their fate wills.

    With `odds.upgrade` each process is replaced, at some time, by one with its role's next version; until
    then one that comes back may be of either, and two side by side of both.
    """

    def __init__(
        self,
        seed: int,
        odds: Odds,
        crash: tuple[str, int] | None = None,
        upgrade: Next = unchanged,
        words: Sequence[Said] = (),
    ) -> None:
        self.chance = Random(seed)
        self.odds = odds
        words = [*words, *drawn(self.chance, odds.words)]
        self.ceo = Ceo(words, self._say, self._status, self._pass_time) if words else None
        self.newest = {name: upgrade(one) if odds.upgrade else one for name, one in _roles().items()}
        self.crashes = 0
        self.replaced = 0
        self._crash = crash
        self._shift_ns = 0
        self._now: Callable[[], float] = lambda: 0.0
        shape = topology(TABLE, ack_wait_s=ACK_WAIT_S, duplicate_window_s=WINDOW_S)
        super().__init__(MemoryServer(shape, clock=self._clock))
        self.fates: dict[str, Fate] = {}
        self._keepers: list[asyncio.Task[None]] = []
        self.error: BaseException | None = None

    def _clock(self) -> int:
        if self.chance.random() < self.odds.clock_step:
            self._shift_ns += int(self.chance.uniform(-1, 1) * self.odds.clock_step_s * 1e9)
        return START_NS + self._shift_ns + int(self._now() * 1e9)

    async def play(self, replicas: int) -> None:
        """Run the mission to its end, then let everything come to rest."""
        self._now = asyncio.get_running_loop().time
        await announce(self.server.connect(), TABLE, _roles().values())
        if self.odds.upgrade:
            await announce(self.server.connect(), TABLE, self.newest.values())
        for process in TABLE.processes:
            for n in range(replicas):
                self._keepers.append(asyncio.create_task(self._keep(process, f"{process}-{n}")))
        await self._say(
            "budget", "company", m.Limits(day_microusd=10**8, month_microusd=10**9, mission_microusd=10**6)
        )
        models = dict.fromkeys(CALLERS, "scripted")
        terms = msgspec.structs.replace(TERMS if self.ceo else m.Terms(models={}), models=models)
        if self.ceo:
            self.ceo.listen(self.server)
        await self._say("coo", "m-1", m.Mission(goal=GOAL, budget_microusd=_BUDGET_MICROUSD, terms=terms))
        bills = [asyncio.create_task(self._bill_badly(n)) for n in range(self.odds.bad_bills)]
        try:
            async with asyncio.timeout(END_S):
                while not self.is_at_rest():
                    await asyncio.sleep(1.0)
                    if self.ceo:
                        await self.ceo.attend(self._clock())
                    await self._resume()
                    if self.error is not None:
                        raise Failed(f"a process died: {self.error!r}") from self.error
                await asyncio.sleep(_LOUD_S if self.ceo else 0.0)
        except TimeoutError:
            raise Failed(f"no end in {END_S:.0f} s: the mission is {self.state()}") from None
        finally:
            ending = [*self._keepers, *bills, *(self.ceo.tasks if self.ceo else ())]
            for task in ending:
                task.cancel()
            await asyncio.gather(*ending, return_exceptions=True)
            self.server.close()

    async def _say(self, to: str, mission: str, message: msgspec.Struct, id: str = "") -> None:
        letter = open_letter(
            TABLE,
            sender="ceo",
            to=to,
            mission=mission,
            message=message,
            id=id or f"said-{to}",
            time_ns=START_NS,
        )
        await self.server.connect().publish(letter)

    def _pass_time(self, seconds: float) -> None:
        self._shift_ns += int(seconds * 1e9)

    async def _bill_badly(self, n: int) -> None:
        """Let a bill of no amount come to the guard, which raises on it."""
        await asyncio.sleep(self.chance.uniform(0.0, _BUSY_S))
        bill = m.Settle(attempt=f"bad-{n}.1", microusd=MOST)
        letter = open_letter(
            TABLE, sender="model-qa", to="budget", mission="m-1", message=bill, id=f"bad-{n}", time_ns=0
        )
        self.bad_bills.add((await self.server.connect().publish(letter)).seq)

    async def _resume(self) -> None:
        """Resume what a failing engine or a bad bill has stopped, as its fix says."""
        status = self.state() if self.odds.engine_failure or self.odds.bad_bills else None
        if status is not None and status.state == "paused_error":
            await self._say("coo", "m-1", m.Control(action="resume"), f"resume-{status.at}")

    # -- processes ------------------------------------------------------------------------------------

    async def _keep(self, process: str, name: str) -> None:
        """Start a process, and start it again when it was killed or replaced."""
        replaced_at_s = self._now() + self.chance.uniform(0.0, _BUSY_S)
        while True:
            is_new = self.odds.upgrade and (self._now() >= replaced_at_s or self.chance.random() < 0.3)
            left_s = replaced_at_s - self._now() if self.odds.upgrade and not is_new else None
            if await self._run(process, name, is_new, left_s):
                await asyncio.sleep(self.chance.uniform(0.0, 3.0))

    async def _run(self, process: str, name: str, is_new: bool, left_s: float | None) -> bool:
        """Run a process until it is killed (True), replaced, or finds a later version than its own."""
        carrier = self.server.connect()
        killed, stop = asyncio.Event(), asyncio.Event()

        def crash() -> None:
            carrier.kill()
            killed.set()

        fate = Fate(self.chance, self.odds, crash)
        if self._crash and self._crash[0] == name and not self.crashes:
            fate.crash_at = self._crash[1]
        self.fates[name] = fate
        nonce = f"{self.chance.getrandbits(64):016x}"
        find_role = self.newest.__getitem__ if is_new else role
        carried = ChaosCarrier(carrier, fate)
        work = loops(process, carried, config_of(process), self._backend, nonce, find_role=find_role)
        task = asyncio.create_task(serve(work, stop))
        waiting = asyncio.ensure_future(killed.wait())
        try:
            await asyncio.wait([task, waiting], timeout=left_s, return_when=asyncio.FIRST_COMPLETED)
            if not task.done() and not killed.is_set():
                stop.set()
                await asyncio.wait([task, waiting], return_when=asyncio.FIRST_COMPLETED)
            if killed.is_set():
                self.crashes += 1
                return True
            self._judge(name, task.exception(), left_s is not None)
            return False
        finally:
            carrier.kill()
            waiting.cancel()
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    def _judge(self, name: str, error: BaseException | None, is_old: bool) -> None:
        if is_old and (error is None or isinstance(error, NewerVersion)):
            self.replaced += 1
        else:
            self.error = error or Failed(f"{name} ended by itself")
            raise self.error

    async def _backend(self) -> Any:
        return RecordedBackend(_record(), self.chance, self.odds.engine_failure)

    def ending(self) -> Ending:
        """Return what the run came to, and what it took."""
        status = self.state()
        return replace(
            super().ending(),
            steps={name: fate.steps for name, fate in self.fates.items()},
            crashes=self.crashes,
            replaced=self.replaced,
            by_the_ceo=self.ceo is not None and status is not None and self.ceo.allows(status),
        )


@cache
def _roles() -> dict[str, Any]:
    return {name: role(name) for name in ROLES}


def begin(seed: int) -> None:
    """Let a run log nothing, and let what is drawn outside of it, such as jitter, follow the seed."""
    quiet = structlog.make_filtering_bound_logger(50)
    structlog.configure(wrapper_class=quiet, logger_factory=structlog.ReturnLoggerFactory())
    random.seed(seed)
