"""The sandbox performer: the only one that may reach Docker. It fetches files, runs, and says what it saw.

What an order wants kept of a run is stored before the outcome is told, byte for byte.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import msgspec

from actors import messages as m
from actors import observed
from actors.performers.stage import Loop, Stage
from actors.performers.turns import TooMany, Turns
from bus import blobs
from bus.envelope import Mail, digest
from bus.errors import BlobMismatch
from bus.loops.halts import Halt
from bus.loops.performer import NotNow
from bus.ports import Carrier
from bus.structured import structlog

if TYPE_CHECKING:
    import sandbox
    from sandbox import Policy

log = structlog.get_logger("actors")

VERSION = 2

_LOOK_AGAIN_S = 1.0
"""When to see whether another process that runs this order has answered it."""

MOST_WAITING = 128
"""Orders of one sender that wait for a run: far above what missions in their slots send."""

_MIB = 1024 * 1024
_SEND_LESS = "send less, or raise sandbox.workspace_bytes and memory_bytes"
_LATER = "resume the mission when fewer wait"

_MOST_KEPT_BYTES = 8 * 1024 * 1024
"""What may be kept of one run; of one that left more, nothing is, and it says that it was cut."""

SANDBOX_ORDERS = 320
"""Orders that one sandbox process holds, to choose the next: more than both senders may have waiting."""


def loop(stage: Stage, mailbox: str) -> Loop:
    """Return the loop that serves orders to run a program."""
    from sandbox import Policy

    policy = stage.part("sandbox", Policy)
    performer = SandboxPerformer(
        stage.carrier,
        stage.find_backend or _finder(policy),
        runs=policy.parallel,
        most_bytes=policy.workspace_bytes,
    )
    return stage.serving(performer, SANDBOX_ORDERS)


def _finder(policy: Policy) -> Callable[[], Awaitable[sandbox.Backend]]:
    async def find() -> sandbox.Backend:
        from sandbox import choose_backend

        return await choose_backend(policy.backend, policy)

    return find


class SandboxPerformer:
    """Serves `execute`. The backend is found at the first order, and again after it was missing.

    `runs` programs run at once, and no order with more than `most_bytes` of files is fetched.
    """

    name = "sandbox"
    version = VERSION

    def __init__(
        self,
        carrier: Carrier,
        find_backend: Callable[[], Awaitable[sandbox.Backend]],
        *,
        runs: int,
        most_bytes: int,
    ) -> None:
        self._carrier = carrier
        self._turns = Turns(runs, MOST_WAITING)
        self._most_bytes = most_bytes
        self._find_backend = find_backend
        self._backend: sandbox.Backend | None = None
        self._finding = asyncio.Lock()

    def dropped(self, order: Mail, halt: Halt) -> msgspec.Struct:
        return _answer(order, status="dropped", status_seq=halt.at, final=halt.final)

    def failed(self, order: Mail, why: str) -> msgspec.Struct:
        return _answer(order, status="failed", reason=why, stderr=why)

    async def perform(self, order: Mail) -> msgspec.Struct:
        execute = order.message
        assert isinstance(execute, m.Execute)
        needed = sum(max(ref.size, 0) for ref in execute.files.values())
        if needed > self._most_bytes:
            reason = f"the files need {needed // _MIB} MiB, the workspace holds {self._most_bytes // _MIB}"
            return _answer(order, status="not_started", reason=reason, fix=_SEND_LESS)
        try:
            async with self._turns.turn(order.sender, order.mission):
                return await self._run(order, execute)
        except TooMany as error:
            log.warning("sandbox.refused", mission=order.mission, sender=order.sender, reason=str(error))
            return _answer(order, status="not_started", reason=str(error), fix=_LATER)

    async def _run(self, order: Mail, execute: m.Execute) -> msgspec.Struct:
        from sandbox import Order, OrderRefused, RunUnderWay, Unavailable
        from sandbox.apart import Gone

        try:
            files = await self._fetch(execute.files)
            wanted = Order(
                id=digest(order.mission, order.sender, order.id),
                argv=execute.argv,
                files=files,
                timeout_s=float(execute.timeout_s),
                stdin=execute.stdin.encode(),
            )
            backend = await self._ready()
        except Unavailable as error:
            log.error("sandbox.unavailable", reason=error.reason, fix=error.fix)
            return _answer(order, status="not_started", reason=error.reason, fix=error.fix)
        except Gone as error:
            raise NotNow(str(error), _LOOK_AGAIN_S) from error
        except (OrderRefused, BlobMismatch) as error:
            return _answer(order, status="failed", reason=str(error), stderr=str(error))
        try:
            outcome = await backend.run(wanted)
        except (RunUnderWay, Gone) as error:
            raise NotNow(str(error), _LOOK_AGAIN_S) from error
        # What does not fit says nothing about the backend, in which others run.
        if outcome.status in ("engine_error", "not_started") and not outcome.limits_hit:
            self._backend = None
            await backend.close()
        return msgspec.structs.replace(_told(order, outcome), **await self._keep(execute, outcome))

    async def _ready(self) -> sandbox.Backend:
        async with self._finding:
            if self._backend is None:
                self._backend = await self._find_backend()
                await self._backend.sweep()
            return self._backend

    async def _fetch(self, files: m.Manifest) -> dict[str, bytes]:
        """Return what a manifest names; a blob that it names twice is fetched once."""
        refs = dict.fromkeys(files.values())
        contents = await asyncio.gather(*(blobs.get(self._carrier, ref) for ref in refs))
        found = dict(zip(refs, contents, strict=True))
        return {path: found[ref] for path, ref in files.items()}

    async def _keep(self, execute: m.Execute, outcome: sandbox.Outcome) -> dict[str, object]:
        """Store what the order wants of a run that ended, and return where it is."""
        if outcome.status in ("engine_error", "not_started"):
            return {}
        made = observed.kept(outcome, execute.keep)
        shown = observed.recorded(outcome) if execute.record else {}
        left = any(one.path in execute.keep for one in outcome.skipped)
        cut = execute.record and (outcome.stdout.cut or outcome.stderr.cut or left)
        if sum(map(len, (*made.values(), *shown.values()))) > _MOST_KEPT_BYTES:
            made, cut = {}, True
        return {"kept": await self._store(made), "recorded": await self._store(shown), "cut": cut}

    async def _store(self, contents: dict[str, bytes]) -> m.Manifest:
        """Store contents, each once, and return their references."""
        wanted = list(dict.fromkeys(contents.values()))
        refs = await asyncio.gather(*(blobs.put(self._carrier, self.name, content) for content in wanted))
        found = dict(zip(wanted, refs, strict=True))
        return {name: found[content] for name, content in contents.items()}

    async def close(self) -> None:
        """Let go of the engine."""
        if self._backend is not None:
            await self._backend.close()
            self._backend = None


def _told(order: Mail, outcome: sandbox.Outcome) -> m.Outcome:
    return _answer(
        order,
        status=outcome.status,
        exit_code=outcome.exit_code,
        stdout=observed.end_of(outcome.stdout),
        stderr=observed.end_of(outcome.stderr),
        wall_ms=outcome.wall_ms,
        backend=outcome.backend,
        image=outcome.image_id,
        reason=outcome.reason,
        fix=outcome.fix,
    )


def _answer(order: Mail, **more: object) -> m.Outcome:
    execute = order.message
    assert isinstance(execute, m.Execute)
    outcome = m.Outcome(
        run=execute.run,
        number=execute.number,
        rework=execute.rework,
        round=execute.round,
        status="",
    )
    return msgspec.structs.replace(outcome, **more)
