"""Run orders in Docker containers: deadline, flood, cancellation and clean-up around the blocking steps."""

import asyncio
import contextlib
import functools
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple, TypeVar

from sandbox import cgroups
from sandbox.archive import Collector
from sandbox.containers import created_s, effective_timeout_s, owner_from
from sandbox.docker import Attached, Engine
from sandbox.errors import EngineError, RunUnderWay
from sandbox.holder import Holder, collect, open_holder, ran_out_of_memory
from sandbox.order import BackendName, Order, Outcome
from sandbox.owner import is_dead
from sandbox.policy import Policy
from sandbox.streams import STDERR, STDOUT, Capture
from sandbox.verdict import SIGKILL_EXIT, Ending, judge

T = TypeVar("T")

_DRAIN_AFTER_EXIT_S = 0.5  # a daemon may keep the stream open for ever after the program's exit
_SETTLE_S = 0.02  # between two questions for the exit code once the streams have ended
_ASK_S = 0.25  # between two questions while they are open
_RESCUERS = 4


class _End(NamedTuple):
    ending: Ending
    exit_code: int | None = None


class DockerBackend:
    """Run each order in a container of its own. Bound to the event loop it is first used in."""

    name: BackendName = "docker"

    def __init__(self, policy: Policy) -> None:
        """Connect to the engine; blocks.

        Raises:
            EngineError: the engine cannot be used or the image is missing.
        """
        self._policy = policy
        # Two threads a run: one reads its output, one calls. Kills and removals have threads and connections
        # of their own, so that they never queue behind blocked readers.
        threads = 2 * policy.parallel + 4
        self._engine = Engine(policy.docker_host, threads)
        try:
            self._image_id = self._engine.image_id(policy.image)
            self._rescue_engine = Engine(policy.docker_host, _RESCUERS)
        except EngineError:
            self._engine.close()
            raise
        self._workers = ThreadPoolExecutor(threads, thread_name_prefix="sandbox")
        self._rescuers = ThreadPoolExecutor(_RESCUERS, thread_name_prefix="sandbox-rescue")
        self._turns = asyncio.Semaphore(policy.parallel)
        self._cleanups: set[asyncio.Task[None]] = set()

    async def run(self, order: Order) -> Outcome:
        """Run one order to its end.

        Cancelling kills and removes the container before the cancellation is passed on.

        Raises:
            RunUnderWay: the same order is being run.
        """
        async with self._turns:
            opening = self._work(open_holder, self._engine, order, self._policy)
            try:
                return await self._serve(order, opening)
            finally:
                cleanup = asyncio.create_task(self._remove(opening))
                self._cleanups.add(cleanup)
                cleanup.add_done_callback(self._cleanups.discard)
                await asyncio.shield(cleanup)

    async def sweep(self, older_than_s: float = 0.0) -> tuple[str, ...]:
        """Remove the containers of owners that died and return their ids; idempotent.

        Those of other hosts are left to their dead-man timers.
        """
        runs = await self._rescue(self._rescue_engine.runs)
        youngest_s = time.time() - older_than_s
        dead = [
            run.id for run in runs if created_s(run.labels) <= youngest_s and is_dead(owner_from(run.labels))
        ]
        for container in dead:
            await self._rescue(self._rescue_engine.remove, container)
        return tuple(dead)

    async def close(self) -> None:
        """Wait for clean-ups under way and close every connection; no run may be under way."""
        while self._cleanups:
            await asyncio.wait(self._cleanups)
        for pool in (self._workers, self._rescuers):
            await asyncio.to_thread(pool.shutdown)
        self._engine.close()
        self._rescue_engine.close()

    async def _serve(self, order: Order, opening: asyncio.Future[Holder]) -> Outcome:
        try:
            holder = await asyncio.shield(opening)
        except EngineError as error:
            if error.kind == "run_under_way":
                raise RunUnderWay(order.id) from error
            return self._refused(error)
        started = time.monotonic()
        try:
            return await self._attend(order, holder, started)
        except EngineError as error:
            return Outcome(
                status="engine_error",
                backend=self.name,
                image_id=self._image_id,
                wall_ms=_since_ms(started),
                reason=error.reason,
                fix=error.fix,
            )

    def _refused(self, error: EngineError) -> Outcome:
        return Outcome(
            status="not_started",
            backend=self.name,
            image_id=self._image_id,
            reason=error.reason,
            fix=error.fix,
        )

    async def _attend(self, order: Order, holder: Holder, started: float) -> Outcome:
        flooded = asyncio.Event()
        loop = asyncio.get_running_loop()
        captures = {
            stream: Capture(
                self._policy.output_bytes,
                self._policy.flood_bytes,
                functools.partial(_set_from_thread, loop, flooded),
            )
            for stream in (STDOUT, STDERR)
        }
        attached = await self._work(self._engine.start_program, holder.exec_id)
        drain = self._work(attached.drain, captures, order.stdin)
        try:
            try:
                end = await self._await_end(order, holder, drain, flooded)
            except EngineError as error:
                end = await self._lost(holder, error)
            wall_ms = _since_ms(started)
            await asyncio.wait({drain}, timeout=_DRAIN_AFTER_EXIT_S)
        finally:
            await self._hang_up(attached, drain)
        if any(capture.flooded for capture in captures.values()):
            end = _End("flood", end.exit_code)  # also when it ended before our kill
        return await self._report(order, holder, end, captures, wall_ms)

    async def _hang_up(self, attached: Attached, drain: asyncio.Future[None]) -> None:
        attached.hang_up()
        await asyncio.shield(asyncio.wait({drain}))
        attached.close()

    async def _await_end(
        self, order: Order, holder: Holder, drain: asyncio.Future[None], flooded: asyncio.Event
    ) -> _End:
        flood = asyncio.create_task(flooded.wait())
        ending: Ending
        try:
            async with asyncio.timeout(effective_timeout_s(order, self._policy)):
                end = await self._poll(holder, drain, flood)
            if end is not None:
                return end
            ending = "flood"
        except TimeoutError:
            ending = "timeout"
        finally:
            flood.cancel()
        await self._rescue(self._rescue_engine.kill, holder.container)
        return _End(ending)

    async def _poll(
        self, holder: Holder, drain: asyncio.Future[None], flood: asyncio.Future[Any]
    ) -> _End | None:
        """Ask for the program's end until it is known; None on a flood.

        The end of its output is only a hint: a program may close both streams and go on, or leave them to a
        child.
        """
        while not flood.done():
            waiting: set[asyncio.Future[Any]] = {flood} if drain.done() else {flood, drain}
            await asyncio.wait(
                waiting,
                timeout=_SETTLE_S if drain.done() else _ASK_S,
                return_when=asyncio.FIRST_COMPLETED,
            )
            running, exit_code = await self._work(self._engine.program_state, holder.exec_id)
            if not running:
                return _End("exited", exit_code)
        return None

    async def _report(
        self, order: Order, holder: Holder, end: _End, captures: dict[int, Capture], wall_ms: int
    ) -> Outcome:
        collector = Collector(self._policy, order.files)
        out_of_memory, cpu_ms = False, cgroups.cpu_ms(holder.container)
        if end.ending == "exited":
            try:
                suspected = end.exit_code == SIGKILL_EXIT
                out_of_memory = await self._work(ran_out_of_memory, self._engine, holder, suspected=suspected)
                await self._work(collect, self._engine, holder, collector)
            except EngineError as error:
                end = await self._lost(holder, error)
        verdict = judge(
            end.ending,
            end.exit_code,
            out_of_memory=out_of_memory,
            timeout_s=effective_timeout_s(order, self._policy),
        )
        cut = {"output_bytes"} if any(capture.cut for capture in captures.values()) else set()
        return Outcome(
            status=verdict.status,
            exit_code=end.exit_code,
            stdout=captures[STDOUT].stream(),
            stderr=captures[STDERR].stream(),
            files=collector.files,
            skipped=collector.skipped,
            limits_hit=tuple(sorted(verdict.limits_hit | collector.limits_hit | cut)),
            image_id=self._image_id,
            backend=self.name,
            wall_ms=wall_ms,
            cpu_ms=cpu_ms,
            reason=verdict.reason,
        )

    async def _lost(self, holder: Holder, error: EngineError) -> _End:
        """Tell a container that is gone from an engine that fails; raises the error again for the latter."""
        if await self._work(self._engine.is_running, holder.container):
            raise error
        return _End("gone")

    async def _remove(self, opening: asyncio.Future[Holder]) -> None:
        await asyncio.wait({opening})
        if opening.exception() is None:
            with contextlib.suppress(EngineError):  # the dead-man timer and the next sweep remain
                await self._rescue(self._rescue_engine.remove, opening.result().container)

    def _work(self, step: Callable[..., T], *args: object, **options: object) -> asyncio.Future[T]:
        loop = asyncio.get_running_loop()
        return loop.run_in_executor(self._workers, functools.partial(step, *args, **options))

    def _rescue(self, step: Callable[..., T], *args: object) -> asyncio.Future[T]:
        return asyncio.get_running_loop().run_in_executor(self._rescuers, functools.partial(step, *args))


def _set_from_thread(loop: asyncio.AbstractEventLoop, event: asyncio.Event) -> None:
    loop.call_soon_threadsafe(event.set)


def _since_ms(started: float) -> int:
    return round((time.monotonic() - started) * 1000)
