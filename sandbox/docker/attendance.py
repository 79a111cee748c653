"""One program in its container from its start to its outcome: deadline, flood, end, files."""

import asyncio
import functools
import time
from collections.abc import Callable
from concurrent.futures import Executor
from typing import Any, NamedTuple, TypeVar

from sandbox.archive import Collector
from sandbox.docker import cpu as cgroups
from sandbox.docker.attached import Attached
from sandbox.docker.engine import Engine
from sandbox.docker.holder import Holder, Workshop, collect, program_input, ran_out_of_memory
from sandbox.errors import EngineError
from sandbox.order import Order, Outcome
from sandbox.program import effective_timeout_s
from sandbox.streams import STDERR, STDOUT, Capture
from sandbox.verdict import SIGKILL_EXIT, Ending, judge

T = TypeVar("T")

_DRAIN_AFTER_EXIT_S = 0.5  # a daemon may keep the stream open for ever after the program's exit
_SETTLE_S = 0.02  # between two questions for the exit code once the streams have ended
_ASK_S = 0.25  # between two questions while they are open


class _End(NamedTuple):
    ending: Ending
    exit_code: int | None = None


class Attendance:
    """Attend one program; `rescue_engine` and `rescuers` are for the kill, which must not queue."""

    def __init__(self, shop: Workshop, workers: Executor, rescue_engine: Engine, rescuers: Executor) -> None:
        self._shop = shop
        self._workers = workers
        self._rescue_engine = rescue_engine
        self._rescuers = rescuers

    async def attend(self, order: Order, holder: Holder, started: float) -> Outcome:
        flooded = asyncio.Event()
        loop = asyncio.get_running_loop()
        captures = {
            stream: Capture(
                self._shop.policy.output_bytes,
                self._shop.policy.flood_bytes,
                functools.partial(_set_from_thread, loop, flooded),
            )
            for stream in (STDOUT, STDERR)
        }
        connecting = self._work(self._shop.engine.start_program, holder.exec_id)
        drain: asyncio.Future[None] | None = None
        try:
            attached = await asyncio.shield(connecting)
            drain = self._work(attached.drain, captures, program_input(order))
            try:
                end = await self._await_end(order, holder, drain, flooded)
            except EngineError as error:
                end = await self._lost(holder, error)
            wall_ms = since_ms(started)
            await asyncio.wait({drain}, timeout=_DRAIN_AFTER_EXIT_S)
        finally:
            await asyncio.shield(_hang_up(connecting, drain))
        if any(capture.flooded for capture in captures.values()):
            end = _End("flood", end.exit_code)  # also when it ended before our kill
        return await self._report(order, holder, end, captures, wall_ms)

    async def _await_end(
        self, order: Order, holder: Holder, drain: asyncio.Future[None], flooded: asyncio.Event
    ) -> _End:
        flood = asyncio.create_task(flooded.wait())
        ending: Ending
        try:
            async with asyncio.timeout(effective_timeout_s(order, self._shop.policy)):
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
            running, exit_code = await self._work(self._shop.engine.program_state, holder.exec_id)
            if not running:
                return _End("exited", exit_code)
        return None

    async def _report(
        self, order: Order, holder: Holder, end: _End, captures: dict[int, Capture], wall_ms: int
    ) -> Outcome:
        collector = Collector(self._shop.policy, order.files)
        out_of_memory, cpu_ms = False, cgroups.cpu_ms(holder.container)
        if end.ending == "exited":
            try:
                suspected = end.exit_code == SIGKILL_EXIT
                out_of_memory = await self._work(
                    ran_out_of_memory, self._shop.engine, holder, suspected=suspected
                )
                await self._work(collect, self._shop.engine, holder, collector)
            except EngineError as error:
                end = await self._lost(holder, error)
        verdict = judge(
            end.ending,
            end.exit_code,
            out_of_memory=out_of_memory,
            timeout_s=effective_timeout_s(order, self._shop.policy),
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
            image_id=self._shop.image_id,
            backend="docker",
            wall_ms=wall_ms,
            cpu_ms=cpu_ms,
            reason=verdict.reason,
        )

    async def _lost(self, holder: Holder, error: EngineError) -> _End:
        """Tell a container that is gone from an engine that fails; raises the error again for the latter."""
        if await self._work(self._shop.engine.is_running, holder.container):
            raise error
        return _End("gone")

    def _work(self, step: Callable[..., T], *args: object, **options: object) -> asyncio.Future[T]:
        loop = asyncio.get_running_loop()
        return loop.run_in_executor(self._workers, functools.partial(step, *args, **options))

    def _rescue(self, step: Callable[..., T], *args: object) -> asyncio.Future[T]:
        return asyncio.get_running_loop().run_in_executor(self._rescuers, functools.partial(step, *args))


async def _hang_up(connecting: asyncio.Future[Attached], drain: asyncio.Future[None] | None) -> None:
    """Give the connection back, also one that comes only after a cancellation."""
    await asyncio.wait({connecting})
    if connecting.exception() is not None:
        return
    attached = connecting.result()
    attached.hang_up()
    if drain is not None:
        await asyncio.wait({drain})
    attached.close()


def _set_from_thread(loop: asyncio.AbstractEventLoop, event: asyncio.Event) -> None:
    loop.call_soon_threadsafe(event.set)


def since_ms(started: float) -> int:
    """Return the milliseconds since a moment of the monotonic clock."""
    return round((time.monotonic() - started) * 1000)
