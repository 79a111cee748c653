"""Starts a company's processes, watches them, starts again what dies, and leaves none behind.

                        died                             delay over
    started ────────────────────────────▶ crashed ─────────────────────▶ started
       │     stuck until the world is mended │
       │ stop                                │ too many crashes, or exit code 78
       ▼                                     ▼
    stopped                               given up

Each child leads its own session: a terminal's Ctrl-C does not reach it, and what it leaves behind is killed
with its process group. On Linux the kernel sends it SIGTERM when the thread that started it ends.
"""

from __future__ import annotations

import asyncio
import signal
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from random import Random
from typing import Literal, Self

from actors.host.children import EX_UNAVAILABLE, cause, end, send, start_process
from actors.host.logtail import size_bytes, tail
from actors.process.held import Held, HeldPipe

EX_CONFIG = 78  # sysexits.h: bad configuration, or not the authority it needs


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessSpec:
    """One process to keep running.

    `env` is its whole environment, nothing is inherited, and no place for a secret: others of its user read
    it. `stdin` is written to it at each start, then closed. What it writes to stdout and stderr is appended
    to `log`.
    """

    name: str
    argv: Sequence[str]
    env: Mapping[str, str]
    log: Path
    stdin: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class RestartPolicy:
    """When a process that died is started again.

    The first restart is immediate; later ones wait `first_delay_s`, doubled each time up to `max_delay_s`,
    each varied by ± `jitter` of itself. A run of `healthy_after_s` starts this anew. `max_crashes` within
    `window_s`, or an exit code in `fatal_codes`, ends it.
    """

    first_delay_s: float = 0.1
    max_delay_s: float = 30.0
    jitter: float = 0.25
    healthy_after_s: float = 60.0
    max_crashes: int = 10
    window_s: float = 60.0
    fatal_codes: frozenset[int] = frozenset({EX_CONFIG})


@dataclass(frozen=True, slots=True)
class ProcessEvent:
    """What happened to a process.

    started: it runs. crashed: it died unasked, with exit code 0 too, and starts again after `restart_in_s`.
    gave_up: it died and is not started again; the others go on. stopped: it ended after it was asked to.
    stuck: it can do nothing until somebody has done something about `reason`; then it goes on by itself.
    `reason` says why for a person, `tail` is the end of what this run wrote.
    """

    kind: Literal["started", "crashed", "gave_up", "stopped", "stuck"]
    name: str
    pid: int | None  # None: it could not even be started
    returncode: int | None = None  # negative: the signal that ended it
    reason: str = ""
    tail: str = ""
    restart_in_s: float = 0.0


Hindrance = Callable[[ProcessEvent], Awaitable[str]]
"""Says what outside a process that ended keeps it from running now, such as a full disk; "" is nothing."""

Release = Callable[[str, Held, Callable[[], Iterable[str]]], Awaitable[None]]
"""Gives back what a dead process held: its name, what it had told, and what the living hold when asked."""


async def hindered(
    ended: ProcessEvent,
    hindrance: Hindrance | None,
    on_event: Callable[[ProcessEvent], None],
    stopping: asyncio.Event | None = None,
) -> bool:
    """Wait until nothing outside a process that ended keeps it from running, or until `stopping`.

    Returns whether something did: then its end says nothing about it, and does not count.
    """
    why = await hindrance(ended) if hindrance else ""
    if not hindrance or not why:
        return False
    on_event(replace(ended, kind="stuck", reason=why))
    never = stopping or asyncio.Event()
    while why and not never.is_set():
        with suppress(TimeoutError):
            async with asyncio.timeout(1):
                await never.wait()
        why = await hindrance(ended)
    return True


class Restarts:
    """Decides when one process that keeps dying is started again. Pure: it is told the time."""

    def __init__(self, policy: RestartPolicy, random: Random) -> None:
        self._policy = policy
        self._random = random
        self._crashed_at_s: deque[float] = deque()
        self._in_a_row = 0

    def delay_s(self, *, now_s: float, ran_s: float) -> float | None:
        """Return how long to wait after a crash at `now_s` that ended a run of `ran_s`; None: give up."""
        policy = self._policy
        self._crashed_at_s.append(now_s)
        while self._crashed_at_s[0] <= now_s - policy.window_s:
            self._crashed_at_s.popleft()
        if len(self._crashed_at_s) >= policy.max_crashes:
            return None
        self._in_a_row = 1 if ran_s >= policy.healthy_after_s else self._in_a_row + 1
        if self._in_a_row == 1:
            return 0.0
        doublings = min(self._in_a_row - 2, 63)  # far beyond any max_delay_s, far below a float's end
        delay_s: float = min(policy.first_delay_s * 2**doublings, policy.max_delay_s)
        return delay_s * self._random.uniform(1 - policy.jitter, 1 + policy.jitter)

    def forget(self) -> None:
        """Count from zero again: the process has handled something."""
        self._crashed_at_s.clear()
        self._in_a_row = 0


@dataclass(slots=True)
class _Child:
    spec: ProcessSpec
    restarts: Restarts
    process: Process | None = None
    pipe: HeldPipe | None = None
    tried: asyncio.Event = field(default_factory=asyncio.Event)


class Supervisor:
    """Runs one process a spec from entering the context until `stop` or leaving it.

    `on_event` is called in the event loop and must not block; what it raises ends that process and is
    raised by `wait` and `stop`. The loop's thread must outlive the processes (see the death signal above).
    With `release`, each process inherits a pipe on which it tells what it holds (`actors.process.held`), and
    `release` is awaited when it has died, before it is started again. While `hindrance` finds something it
    is not started again, and its death does not count. Neither must raise.
    """

    def __init__(
        self,
        specs: Sequence[ProcessSpec],
        on_event: Callable[[ProcessEvent], None],
        policy: RestartPolicy = RestartPolicy(),
        *,
        random: Random | None = None,
        release: Release | None = None,
        hindrance: Hindrance | None = None,
    ) -> None:
        random = random or Random()
        self._hindrance = hindrance
        self._release = release
        self._policy = policy
        self._on_event = on_event
        self._children = {spec.name: _Child(spec, Restarts(policy, random)) for spec in specs}
        if len(self._children) != len(specs):
            raise ValueError("two processes have the same name")
        self._tasks: list[asyncio.Task[None]] = []
        self._asked: signal.Signals | None = None
        self._stopping = asyncio.Event()

    async def __aenter__(self) -> Self:
        self._tasks = [asyncio.create_task(self._keep(child)) for child in self._children.values()]
        try:
            for child in self._children.values():
                await child.tried.wait()
        except BaseException:
            await self.stop(now=True)
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    def pids(self) -> dict[str, int]:
        """Return the pid of each process that runs now, by name."""
        return {name: child.process.pid for name, child in self._children.items() if child.process}

    def handled(self, name: str) -> None:
        """Say that a process got something done: its crashes before now no longer count against it."""
        self._children[name].restarts.forget()

    def _held_now(self) -> list[str]:
        return [subject for child in self._children.values() if child.pipe for subject in child.pipe.held]

    async def wait(self) -> None:
        """Return when no process is left: each was given up or stopped."""
        await asyncio.gather(*map(asyncio.shield, self._tasks))

    async def stop(self, timeout_s: float = 10.0, *, now: bool = False) -> None:
        """Ask all processes to end, at once, and kill those that have not after `timeout_s`. Idempotent.

        `now` kills at once, also while another call waits. Cancelled, it kills before it raises.
        """
        try:
            if not now and self._tasks:
                self._signal(signal.SIGTERM)
                await asyncio.wait(self._tasks, timeout=timeout_s)
        finally:
            self._signal(signal.SIGKILL)
            outcomes = await asyncio.gather(*self._tasks, return_exceptions=True)
        for outcome in outcomes:
            if isinstance(outcome, Exception):
                raise outcome

    def _signal(self, number: signal.Signals) -> None:
        self._asked = signal.SIGKILL if self._asked is signal.SIGKILL else number
        self._stopping.set()
        for child in self._children.values():
            if child.process:
                send(child.process, self._asked)

    async def _keep(self, child: _Child) -> None:
        loop = asyncio.get_running_loop()
        try:
            while self._asked is None:
                started_s = loop.time()
                ended = await self._run(child)
                hindrance = self._hindrance if self._asked is None else None
                if await hindered(ended, hindrance, self._on_event, self._stopping):
                    continue
                delay_s = self._after(child, ended, now_s=loop.time(), ran_s=loop.time() - started_s)
                if delay_s is None:
                    return
                with suppress(TimeoutError):
                    async with asyncio.timeout(delay_s):
                        await self._stopping.wait()
        finally:
            child.tried.set()

    async def _run(self, child: _Child) -> ProcessEvent:
        spec = child.spec
        stdin = DEVNULL if spec.stdin is None else PIPE
        written_bytes = size_bytes(spec.log)
        pipe = child.pipe = HeldPipe(partial(self.handled, spec.name)) if self._release else None
        try:
            process = await start_process(spec.argv, spec.env, spec.log, stdin, pipe)
        except OSError as error:
            child.tried.set()
            if pipe is not None:
                child.pipe = None
                pipe.close()
            return ProcessEvent("stopped", spec.name, None, EX_UNAVAILABLE, "not started", str(error))
        child.process = process
        try:
            if self._asked is not None:  # it was being started when everybody else was signalled
                send(process, self._asked)
            self._on_event(ProcessEvent("started", spec.name, process.pid))
            child.tried.set()
            await process.communicate(spec.stdin)
        finally:
            returncode = await end(process)
            child.process = child.pipe = None
            if pipe is not None and self._release is not None:
                held = pipe.close()
                await self._release(spec.name, held, self._held_now)
        said = tail(spec.log, written_bytes)
        return ProcessEvent("stopped", spec.name, process.pid, returncode, cause(returncode), said)

    def _after(self, child: _Child, ended: ProcessEvent, *, now_s: float, ran_s: float) -> float | None:
        policy, delay_s, reason = self._policy, None, ended.reason
        if self._asked is not None:
            event = ended
        elif ended.returncode in policy.fatal_codes:
            event = replace(ended, kind="gave_up", reason=f"{reason}: starting it again would not help")
        elif (delay_s := child.restarts.delay_s(now_s=now_s, ran_s=ran_s)) is None:
            crashes = f"{policy.max_crashes} crashes in {policy.window_s:g} s"
            event = replace(ended, kind="gave_up", reason=f"{crashes}, the last one: {reason}")
        else:
            event = replace(ended, kind="crashed", restart_in_s=delay_s)
        self._on_event(event)
        return delay_s
