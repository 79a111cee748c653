"""Run orders in Docker containers: turns, the pool, cancellation and clean-up around the blocking steps."""

import asyncio
import contextlib
import functools
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from sandbox.docker.attendance import Attendance, since_ms
from sandbox.docker.containers import POOL_LIFE_S
from sandbox.docker.engine import Engine
from sandbox.docker.holder import Holder, Workshop, make_spare, open_holder
from sandbox.docker.pool import Pool
from sandbox.docker.sweep import sweep_engine
from sandbox.errors import EngineError, RunUnderWay
from sandbox.known import engine_warnings
from sandbox.order import BackendName, Order, Outcome
from sandbox.owner import give_up, new_owner
from sandbox.policy import Policy
from sandbox.room import misfit

T = TypeVar("T")

_RESCUERS = 4
# The pool is filled this long after an order took from it, so that a short program has the machine to itself.
_REFILL_S = 0.3
# How often the pool is looked at without an order: spares grow old, and an engine that failed comes back.
_LOOK_S = 60.0


class DockerBackend:
    """Run each order in a container of its own. Bound to the event loop it is first used in."""

    name: BackendName = "docker"

    def __init__(self, policy: Policy) -> None:
        """Connect to the engine; blocks. The pool is filled from the first order on.

        Raises:
            EngineError: the engine cannot be used or the image is missing.
        """
        # Two threads a run, one reads its output, one calls; and one that fills the pool. Kills and removals
        # have threads and connections of their own, so that they never queue behind blocked readers.
        threads = 2 * policy.parallel + 4
        self._engine = Engine(policy.docker_host, threads + 1)
        try:
            image_id = self._engine.image_id(policy.image)
            self._rescue_engine = Engine(policy.docker_host, _RESCUERS)
        except EngineError:
            self._engine.close()
            raise
        self._shop = Workshop(self._engine, policy, image_id, new_owner())
        self._workers = ThreadPoolExecutor(threads, thread_name_prefix="sandbox")
        self._rescuers = ThreadPoolExecutor(_RESCUERS, thread_name_prefix="sandbox-rescue")
        self._filler = ThreadPoolExecutor(1, thread_name_prefix="sandbox-pool")
        self._attendance = Attendance(self._shop, self._workers, self._rescue_engine, self._rescuers)
        self._pool = Pool(
            policy.pool, POOL_LIFE_S, functools.partial(make_spare, self._shop), self._engine.remove
        )
        self._taken = asyncio.Event()
        self._keeper: asyncio.Task[None] | None = None
        self._turns = asyncio.Semaphore(policy.parallel)
        self._cleanups: dict[str, asyncio.Task[None]] = {}
        self._unremoved: set[str] = set()

    async def run(self, order: Order) -> Outcome:
        """Run one order to its end; its container is removed a moment after the answer.

        Cancelling kills and removes the container before the cancellation is passed on.

        Raises:
            RunUnderWay: the same order is being run.
        """
        if (trouble := misfit(order, self._shop.policy)) is not None:
            return self._refused(*trouble)
        while (cleanup := self._cleanups.get(order.id)) is not None:
            await asyncio.wait({cleanup})
        await self._turns.acquire()
        self._keep_pool()
        opening = self._work(open_holder, self._shop, order, self._pool)
        try:
            outcome = await self._serve(order, opening)
        except BaseException:
            await asyncio.shield(self._clean_up(order, opening))
            raise
        self._clean_up(order, opening)
        return outcome

    async def sweep(self, older_than_s: float = 0.0) -> tuple[str, ...]:
        """Remove the containers and volumes of owners that died and return their ids; idempotent.

        Those of other hosts are left to their dead-man timers.
        """
        await self._remove_again()
        return await self._rescue(sweep_engine, self._rescue_engine, time.time() - older_than_s)

    async def describe(self) -> tuple[dict[str, str], tuple[str, ...]]:
        """Return the versions of the engine's parts and the image, and which of them are too old."""
        versions = await self._rescue(self._rescue_engine.versions)
        parts = {name: value for name, value in versions.items() if name in ("Engine", "containerd", "runc")}
        image = f"{self._shop.policy.image} {self._shop.image_id}"
        return parts | {"image": image}, engine_warnings(versions)

    async def close(self) -> None:
        """Remove what waits in the pool, wait for clean-ups and close every connection.

        No run may be under way.
        """
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.wait({self._keeper})
        await asyncio.to_thread(self._filler.shutdown)
        while self._cleanups:
            await asyncio.wait(self._cleanups.values())
        with contextlib.suppress(EngineError):  # whoever sweeps next finds them
            await self._rescue(self._pool.empty)
        await self._remove_again()
        for threads in (self._workers, self._rescuers):
            await asyncio.to_thread(threads.shutdown)
        self._engine.close()
        self._rescue_engine.close()
        give_up(self._shop.owner)

    async def _serve(self, order: Order, opening: asyncio.Future[Holder]) -> Outcome:
        try:
            holder = await asyncio.shield(opening)
        except EngineError as error:
            if error.kind == "run_under_way":
                raise RunUnderWay(order.id) from error
            return self._refused(error.reason, error.fix)
        started = time.monotonic()
        try:
            return await self._attendance.attend(order, holder, started)
        except EngineError as error:
            return Outcome(
                status="engine_error",
                backend=self.name,
                image_id=self._shop.image_id,
                wall_ms=since_ms(started),
                reason=error.reason,
                fix=error.fix,
            )

    def _refused(self, reason: str, fix: str, *limits_hit: str) -> Outcome:
        return Outcome(
            status="not_started",
            backend=self.name,
            image_id=self._shop.image_id,
            limits_hit=limits_hit,
            reason=reason,
            fix=fix,
        )

    # -- the pool -----------------------------------------------------------------------------------

    def _keep_pool(self) -> None:
        self._taken.set()
        if self._keeper is None and self._shop.policy.pool > 0:
            self._keeper = asyncio.create_task(self._refill())

    async def _refill(self) -> None:
        filler = asyncio.get_running_loop()
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_LOOK_S):
                    await self._taken.wait()
                    await asyncio.sleep(_REFILL_S)
            self._taken.clear()
            with contextlib.suppress(EngineError):  # orders go the cold way and say what is wrong
                await filler.run_in_executor(self._filler, self._pool.fill)

    # -- clean-up -----------------------------------------------------------------------------------

    def _clean_up(self, order: Order, opening: asyncio.Future[Holder]) -> asyncio.Task[None]:
        """Remove the container and give its turn to the next; the order's name is taken until then."""
        cleanup = asyncio.create_task(self._remove(opening))
        self._cleanups[order.id] = cleanup

        def done(task: asyncio.Task[None]) -> None:
            self._turns.release()
            if self._cleanups.get(order.id) is task:
                del self._cleanups[order.id]

        cleanup.add_done_callback(done)
        return cleanup

    async def _remove(self, opening: asyncio.Future[Holder]) -> None:
        await asyncio.wait({opening})
        if opening.exception() is None:
            self._unremoved.add(opening.result().container)
            await self._remove_again()

    async def _remove_again(self) -> None:
        """Remove what a run left, and what could not be removed before."""
        for container in tuple(self._unremoved):
            with contextlib.suppress(
                EngineError
            ):  # tried again with the next run; a sweep is the last resort
                await self._rescue(self._rescue_engine.remove, container)
                self._unremoved.discard(container)

    def _work(self, step: Callable[..., T], *args: object) -> asyncio.Future[T]:
        return asyncio.get_running_loop().run_in_executor(self._workers, functools.partial(step, *args))

    def _rescue(self, step: Callable[..., T], *args: object) -> asyncio.Future[T]:
        return asyncio.get_running_loop().run_in_executor(self._rescuers, functools.partial(step, *args))
