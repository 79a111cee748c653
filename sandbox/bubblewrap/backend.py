"""Run orders under bubblewrap: no engine and no image; a control group where the kernel gives one.

Nothing of the host's is mounted but a read-only copy of Python and some tools; files travel through pipes.
Root drops to an unprivileged user first: inside a user name space made by root, uid 65532 would be the
host's root.
"""

import asyncio
import contextlib
import platform
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import BinaryIO, NamedTuple, TypeVar

import msgspec

from sandbox.archive import Collector
from sandbox.bubblewrap.confined import Confined, Site, confined
from sandbox.bubblewrap.controlgroup import open_groups
from sandbox.bubblewrap.locks import locked, sweep_locks
from sandbox.bubblewrap.resident import holds_more_than
from sandbox.bubblewrap.runtime import install
from sandbox.errors import RunUnderWay, Unavailable
from sandbox.known import BUBBLEWRAP_OPEN, BUBBLEWRAP_OPEN_WITHOUT_GROUP
from sandbox.order import BackendName, Order, Outcome
from sandbox.policy import Policy
from sandbox.program import effective_timeout_s
from sandbox.room import misfit
from sandbox.rootfs import Progress
from sandbox.seccomp import UNCOUNTED_MEMORY, NoSyscallTable, bpf_program
from sandbox.verdict import Ending, judge

T = TypeVar("T")

_MEMORY_SAMPLE_S = 0.05
_MAX_LINE_BYTES = 4096
_START_S = 30.0  # until the files are written; a loaded machine needs its time
_FILES_S = 30.0  # until the workspace is read back
_FIX = "docs/sandbox.md says what bubblewrap needs; or use Docker"


class _Report(msgspec.Struct, frozen=True):
    """What the runner writes: first an error or nothing, then the program's end."""

    error: str = ""
    exit_code: int | None = None
    wall_ms: int = 0
    cpu_ms: int | None = None


class _End(NamedTuple):
    ending: Ending
    report: _Report


class BubblewrapBackend:
    """Run each order in a bubblewrap sandbox of its own. Bound to the event loop it is first used in."""

    name: BackendName = "bubblewrap"

    def __init__(
        self, policy: Policy, progress: Progress = lambda line: None, *, with_groups: bool = True
    ) -> None:
        """Find bwrap and copy the root file system if need be; blocks, seconds the first time.

        with_groups: bound each run by a control group if one can be had; else its memory is sampled.

        Raises:
            Unavailable: bwrap is missing, or this machine's architecture has no seccomp filter.
        """
        self._policy = policy
        groups = open_groups(policy) if with_groups else None
        try:
            uncounted = UNCOUNTED_MEMORY if groups is None else frozenset[str]()
            bpf_filter = bpf_program(platform.machine(), without=uncounted)
        except NoSyscallTable as error:
            raise Unavailable(f"no seccomp filter for {error}", "use Docker") from error
        self._site = Site(install(policy, progress), bpf_filter, groups)
        self._runtime = self._site.runtime
        # Two threads a run: one reads the answer, one samples memory.
        self._readers = ThreadPoolExecutor(2 * policy.parallel, thread_name_prefix="sandbox")
        self._turns = asyncio.Semaphore(policy.parallel)

    async def run(self, order: Order) -> Outcome:
        """Run one order to its end.

        Cancelling kills the whole process tree before the cancellation is passed on.

        Raises:
            RunUnderWay: the same order is being run.
        """
        if (trouble := misfit(order, self._policy)) is not None:
            return self._not_started(*trouble)
        async with self._turns:
            with locked(self._runtime.locks / order.id) as is_ours:
                if not is_ours:
                    raise RunUnderWay(order.id)
                try:
                    async with confined(order, self._policy, self._site) as box:
                        return await self._attend(order, box)
                except OSError as error:
                    return self._not_started(f"cannot start {self._runtime.bwrap}: {error.strerror}", _FIX)

    async def sweep(self, older_than_s: float = 0.0) -> tuple[str, ...]:
        """Remove lock files and control groups of owners that died; their sandboxes died with them.

        What had hardly begun may have outlived its owner; it is killed with its group.
        """
        swept = await asyncio.to_thread(sweep_locks, self._runtime.locks, older_than_s)
        if self._site.groups is not None:
            swept += await asyncio.to_thread(self._site.groups.sweep, older_than_s)
        return tuple(dict.fromkeys(swept))

    async def describe(self) -> tuple[dict[str, str], tuple[str, ...]]:
        """Return where bwrap and its root file system are, what bounds memory, and what stays open."""
        parts = {"bwrap": str(self._runtime.bwrap), "root": str(self._runtime.root)}
        if self._site.groups is None:
            return parts | {"memory": "sampled, no control group here"}, BUBBLEWRAP_OPEN_WITHOUT_GROUP
        place = self._site.groups.place
        return parts | {"memory": f"control group (v{place.version}) in {place.memory}"}, BUBBLEWRAP_OPEN

    async def close(self) -> None:
        """Give the threads back; no run may be under way."""
        await asyncio.to_thread(self._readers.shutdown)
        if self._site.groups is not None:
            self._site.groups.close()

    async def _attend(self, order: Order, box: Confined) -> Outcome:
        try:
            async with asyncio.timeout(_START_S):
                greeting = await self._read(_read_report, box.answer)
        except TimeoutError:
            greeting = _Report(error=f"the files were not written within {_START_S:g} s")
        if greeting is None or greeting.error:
            await box.kill()
            said = box.stderr.stream().head.strip().splitlines()
            complaint = said[-1] if said else "bwrap ended without a word"
            return self._not_started(greeting.error if greeting else complaint, _FIX)
        loop = asyncio.get_running_loop()
        started = loop.time()
        end = await self._await_end(order, box)
        wall_ms = end.report.wall_ms or round((loop.time() - started) * 1000)
        collector = Collector(self._policy, order.files)
        if end.ending == "exited":
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_FILES_S):
                    await self._read(collector.take, box.answer.read)
            await box.settle()
        await box.kill()
        return self._report(order, box, end, collector, wall_ms)

    async def _await_end(self, order: Order, box: Confined) -> _End:
        report = asyncio.ensure_future(self._read(_read_report, box.answer))
        flood = asyncio.create_task(box.flooded.wait())
        memory = asyncio.create_task(self._outgrown(box.process.pid))
        try:
            await asyncio.wait(
                {report, flood, memory},
                timeout=effective_timeout_s(order, self._policy),
                return_when=asyncio.FIRST_COMPLETED,
            )
            if flood.done():
                return _End("flood", _Report())
            if report.done():
                found = report.result()
                return _End("gone", _Report()) if found is None else _End("exited", found)
            return _End("memory" if memory.done() else "timeout", _Report())
        finally:
            for waiting in (report, flood, memory):
                waiting.cancel()

    async def _outgrown(self, pid: int) -> None:
        """Return when the sandbox holds more memory than it may; never when a control group sees to it."""
        if self._site.groups is not None:
            await asyncio.Event().wait()
        while not await self._read(holds_more_than, pid, self._policy.memory_bytes):
            await asyncio.sleep(_MEMORY_SAMPLE_S)

    def _report(self, order: Order, box: Confined, end: _End, collector: Collector, wall_ms: int) -> Outcome:
        met = box.limits_hit()
        ending: Ending = "flood" if box.stdout.flooded or box.stderr.flooded else end.ending
        if ending == "gone" and "memory_bytes" in met:
            ending = "memory"  # the kernel chose the sandbox's own process 1 to end
        timeout_s = effective_timeout_s(order, self._policy)
        verdict = judge(
            ending, end.report.exit_code, out_of_memory="memory_bytes" in met, timeout_s=timeout_s
        )
        cut = {"output_bytes"} if box.stdout.cut or box.stderr.cut else set()
        return Outcome(
            status=verdict.status,
            exit_code=end.report.exit_code,
            stdout=box.stdout.stream(),
            stderr=box.stderr.stream(),
            files=collector.files,
            skipped=collector.skipped,
            limits_hit=tuple(sorted(verdict.limits_hit | collector.limits_hit | cut | met)),
            image_id=self._runtime.key,
            backend=self.name,
            wall_ms=wall_ms,
            cpu_ms=end.report.cpu_ms,
            reason=verdict.reason,
        )

    def _not_started(self, reason: str, fix: str, *limits_hit: str) -> Outcome:
        return Outcome(
            status="not_started",
            backend=self.name,
            image_id=self._runtime.key,
            limits_hit=limits_hit,
            reason=reason,
            fix=fix,
        )

    async def _read(self, step: Callable[..., T], *arguments: object) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._readers, step, *arguments)


def _read_report(answer: BinaryIO) -> _Report | None:
    """Return the runner's next line, None when it ended or wrote something else."""
    try:
        return msgspec.json.decode(answer.readline(_MAX_LINE_BYTES), type=_Report)
    except (msgspec.DecodeError, ValueError):
        return None
