"""One seeded run of the whole company, and what must hold after it."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, partial
from random import Random
from typing import Any

import msgspec
import structlog

from actors import messages as m
from actors.chaos.ceo import TERMS, Ceo, Said, drawn
from actors.chaos.clockwork import run as run_on_virtual_time
from actors.chaos.faults import CALM, PROFILES, ChaosCarrier, Fate, Odds
from actors.chaos.recorded import RECORDED, RecordedBackend
from actors.chaos.whole import blob_in, mail_in, whole_in
from actors.company import loops, role, serve
from actors.performers.proofs import PERFORMERS
from actors.table import HALTS, TABLE, TOLD_OF_THE_END
from bus.bounds import MOST
from bus.envelope import Stored, open_letter, readable
from bus.errors import NewerVersion
from bus.fold import Role
from bus.memory import MemoryServer
from bus.releases import announce
from bus.subjects import parts_of
from bus.topology import topology
from bus.verify import Report, verify
from config.parts import ActorConfig, BusPart, LogPart, ModelPart, ModelTerms, SandboxPart

GOAL = "Write a word count tool with tests"
"""The reference mission: its work is rejected once and done again."""

ROLES = ("coo", "engineer", "qa", "approval", "budget")
FIRST = len(ROLES) + 2
"""The sequence of the mission: before it are the versions that the operator announces, and the limits."""

START_NS = 1_800_000_000_000_000_000
_END_S = 4 * 3600.0
"""Virtual seconds after which a run that has not ended is a failure."""

_BUDGET_MICROUSD = 10**7
"""Enough for every attempt that may be in doubt."""

_BUSY_S = 30.0
"""Virtual seconds in which a mission is usually played."""

_LOOKED_FOR = frozenset({"status", "close", "granted", "sent", "settle", "reply", "error"})

_LOUD_S = 5.0
"""Virtual seconds in which a mission that is not silent after its end is heard."""

_LATE = "is closed: everything of it is booked"
"""What the guard says of a bill that comes when the worst case of its hold is booked and the mission over."""

_ACK_WAIT_S = 5
_WINDOW_S = 60


class Failed(Exception):
    """A run did not hold what the company promises."""


@dataclass
class Ending:
    """What a run came to: comparable between runs."""

    state: str
    deliverable: dict[str, str]
    settled_microusd: int
    late_microusd: int
    doubtful_microusd: int
    steps: dict[str, int] = field(default_factory=dict)
    crashes: int = 0
    replaced: int = 0
    messages: int = 0
    by_the_ceo: bool = False


@cache
def _record() -> dict[str, list[object]]:
    record: dict[str, list[object]] = json.loads(RECORDED.read_text("utf-8"))
    return record


def config_of(process: str) -> ActorConfig:
    """Return a process's configuration: constants, so that a seed means the same on every machine."""
    bus = BusPart(
        ack_wait_s=_ACK_WAIT_S,
        duplicate_window_s=_WINDOW_S,
        max_ack_pending=1000,
        window=8,
        checkpoint_every=7,
    )
    terms = ModelTerms(
        provider="scripted",
        max_output_tokens=8_000,
        context_tokens=131_072,
        timeout_s=5.0,
        input_picousd_per_token=1_000_000,
        output_picousd_per_token=4_000_000,
        cache_hit_picousd_per_token=None,
    )
    return ActorConfig(
        bus=bus,
        log=LogPart(level="error", secret_env=()),
        model=ModelPart(default="scripted", models={"scripted": terms}),
        sandbox=msgspec.convert({"backend": "bubblewrap", **_SANDBOX}, SandboxPart),
    )


def _sandbox_defaults() -> dict[str, Any]:
    from sandbox import Policy

    names = {f.name for f in msgspec.structs.fields(SandboxPart)}
    return {k: v for k, v in msgspec.structs.asdict(Policy()).items() if k in names}


_SANDBOX = _sandbox_defaults()


Next = Callable[[Role[Any]], Role[Any]]
"""What the next version of a role is."""


def unchanged(before: Role[Any]) -> Role[Any]:
    """Return the next version of a role that decides as it did."""
    return replace(before, version=before.version + 1)


class Simulation:
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
        self.bad_bills: set[int] = set()
        self._looked_at = 0
        self._mail: dict[str, list[tuple[Stored, Any]]] = {}
        self.crashes = 0
        self.replaced = 0
        self._crash = crash
        self._shift_ns = 0
        self._now: Callable[[], float] = lambda: 0.0
        shape = topology(TABLE, ack_wait_s=_ACK_WAIT_S, duplicate_window_s=_WINDOW_S)
        self.server = MemoryServer(shape, clock=self._clock)
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
        models = dict.fromkeys(("coo", "engineer", "qa"), "scripted")
        terms = msgspec.structs.replace(TERMS if self.ceo else m.Terms(models={}), models=models)
        if self.ceo:
            self.ceo.listen(self.server)
        await self._say("coo", "m-1", m.Mission(goal=GOAL, budget_microusd=_BUDGET_MICROUSD, terms=terms))
        bills = [asyncio.create_task(self._bill_badly(n)) for n in range(self.odds.bad_bills)]
        try:
            async with asyncio.timeout(_END_S):
                while not self._is_at_rest():
                    await asyncio.sleep(1.0)
                    if self.ceo:
                        await self.ceo.attend(self._clock())
                    await self._resume()
                    if self.error is not None:
                        raise Failed(f"a process died: {self.error!r}") from self.error
                await asyncio.sleep(_LOUD_S if self.ceo else 0.0)
        except TimeoutError:
            raise Failed(f"no end in {_END_S:.0f} s: the mission is {self.state()}") from None
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

    # -- looking --------------------------------------------------------------------------------------

    def mail(self, kind: str) -> list[tuple[Stored, Any]]:
        """Return every message of one kind, decoded, in the order of the log."""
        news = mail_in(self.server, self._looked_at)
        for stored in news:
            name = parts_of(stored.subject).kind
            if name in _LOOKED_FOR and (mail := readable(TABLE, stored)) is not None:
                self._mail.setdefault(name, []).append((stored, mail.message))
        self._looked_at += len(news)
        return self._mail.get(kind, [])

    def _status(self) -> tuple[Stored, m.Status] | None:
        return max(self.mail("status"), key=lambda found: found[1].at, default=None)

    def state(self) -> m.Status | None:
        found = self._status()
        return found[1] if found else None

    def _is_at_rest(self) -> bool:
        """Say whether the mission is over, all are told, all holds resolved and all bad bills put aside."""
        status = self.state()
        told = {parts_of(stored.subject).to for stored, _ in self.mail("close")}
        if status is None or status.state not in m.FINAL or told != set(TOLD_OF_THE_END):
            return False
        dead = self.server.stream("COO_DLQ").messages
        if len({stored.headers.get("coo-dlq-seq") for stored in dead}) < len(self.bad_bills):
            return False
        now_ns = self._clock()
        return all(granted.expires_ns < now_ns for _, granted in self.mail("granted"))

    def _settled_late(self) -> set[str]:
        """Return settled attempts beyond the first of each call: all but one were in doubt before.

        Raises:
            Failed: a call was made twice although the first one was settled within its hold's time.
        """
        expiry = {fact.attempt: fact.expires_ns for _, fact in self.mail("granted")}
        first: dict[str, tuple[Stored, str]] = {}
        late = set()
        for stored, fact in self.mail("settle"):
            if stored.seq in self.bad_bills:
                continue
            call = fact.attempt.rpartition(".")[0]
            before, attempt = first.setdefault(call, (stored, fact.attempt))
            if attempt == fact.attempt:
                continue
            if before.time_ns < expiry[attempt] and stored.time_ns < expiry[fact.attempt]:
                raise Failed(f"call {call} was paid for twice, at {before.seq} and {stored.seq}")
            late.add(fact.attempt)
        return late

    def _dropped(self) -> set[str]:
        """Return the calls that a pause has ended: what they cost is paid for, and they are made again."""
        replies = self.mail("reply")
        causes = [s.headers["coo-cause"] for s, reply in replies if reply.status == "dropped"]
        return {cause.partition("/")[2] for cause in causes}

    def ending(self) -> Ending:
        status = self.state()
        assert status is not None
        dropped = self._dropped()
        bills = [fact for stored, fact in self.mail("settle") if stored.seq not in self.bad_bills]
        bills = [fact for fact in bills if fact.attempt.rpartition(".")[0] not in dropped]
        settled = {fact.attempt: fact.microusd for fact in bills}
        held = {fact.attempt: fact.microusd for _, fact in self.mail("granted")}
        sent = {fact.attempt for _, fact in self.mail("sent")}
        late = self._settled_late()
        return Ending(
            state=status.state,
            deliverable={path: ref.digest for path, ref in status.deliverable.items()},
            settled_microusd=sum(cost for attempt, cost in settled.items() if attempt not in late),
            late_microusd=sum(settled[attempt] for attempt in late),
            doubtful_microusd=sum(held[attempt] for attempt in sent - settled.keys()),
            steps={name: fate.steps for name, fate in self.fates.items()},
            crashes=self.crashes,
            replaced=self.replaced,
            messages=len(self.server.stream("COO").messages),
            by_the_ceo=self.ceo is not None and self.ceo.allows(status),
        )


def begin(seed: int) -> None:
    """Let a run log nothing, and let what is drawn outside of it, such as jitter, follow the seed."""
    quiet = structlog.make_filtering_bound_logger(50)
    structlog.configure(wrapper_class=quiet, logger_factory=structlog.ReturnLoggerFactory())
    random.seed(seed)


def simulate(
    seed: int,
    odds: Odds | None = None,
    replicas: int = 1,
    crash: tuple[str, int] | None = None,
    upgrade: Next = unchanged,
    words: Sequence[Said] = (),
) -> Ending:
    """Play the reference mission under a seed and check what must hold.

    Raises:
        Failed: it does not hold; the same seed shows it again.
    """
    begin(seed)
    simulation = Simulation(seed, odds or PROFILES[seed % len(PROFILES)], crash, upgrade, words)
    run_on_virtual_time(simulation.play(replicas))
    ending = simulation.ending()
    _check_letters(simulation)
    _check_log(simulation)
    _check_ending(ending, calm())
    return ending


@cache
def calm() -> Ending:
    """What the mission comes to when nothing goes wrong."""
    simulation = Simulation(0, CALM)
    run_on_virtual_time(simulation.play(1))
    return simulation.ending()


def _check_ending(ending: Ending, calm: Ending) -> None:
    if ending.by_the_ceo and not ending.deliverable:
        return
    if (ending.state, ending.deliverable) != (calm.state, calm.deliverable):
        raise Failed(f"ended as {ending.state} with {sorted(ending.deliverable)}, not as {calm.state}")
    if ending.settled_microusd != calm.settled_microusd:
        raise Failed(f"settled {ending.settled_microusd}, a calm run {calm.settled_microusd}")


def verified(simulation: Simulation) -> Report:
    """Fold a simulation's log again."""
    server = simulation.server
    return verify(
        server.stream("COO").messages,
        TABLE,
        simulation.newest,
        partial(blob_in, server),
        PERFORMERS,
        server.stream("COO_DLQ").messages,
        HALTS,
        partial(whole_in, server),
    )


def _check_log(simulation: Simulation) -> None:
    """Every letter is what the code decides, every checkpoint the fold it claims."""
    report = verified(simulation)
    for finding in report.findings:
        if finding.seq not in simulation.bad_bills:
            raise Failed(f"not explained: {finding}")
    if report.dead:
        raise Failed(f"a dead letter is none: {report.dead[0]}")


@cache
def _roles() -> dict[str, Any]:
    return {name: role(name) for name in ROLES}


def _check_letters(simulation: Simulation) -> None:
    """Each letter is in the log once; none of ours is in the dead letters.

    A process stopped past the duplicate window between its read and its publish may write a copy; every
    fold skips it.
    """
    messages = simulation.server.stream("COO").messages
    first: dict[tuple[str, str], Stored] = {}
    for stored in messages:
        before = first.setdefault((stored.subject, stored.headers["ce-id"]), stored)
        if before is not stored and stored.time_ns - before.time_ns < _WINDOW_S * 1e9:
            raise Failed(f"in the log twice within the window: {before.seq} and {stored.seq}")
    dead = simulation.server.stream("COO_DLQ").messages
    for stored in dead:
        late = simulation.ceo is not None and _LATE in stored.headers.get("coo-dlq-error", "")
        if int(stored.headers["coo-dlq-seq"]) not in simulation.bad_bills and not late:
            raise Failed(f"a dead letter: {stored.headers.get('coo-dlq-error')}")
    if len({stored.headers.get("coo-dlq-seq") for stored in dead}) < len(simulation.bad_bills):
        raise Failed(f"{len(simulation.bad_bills)} bad bills, {len(dead)} dead letters")
