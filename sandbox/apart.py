"""Sandboxes that another process starts: for an asker that gives up all it could start one with.

`Apart` starts that process while its own still may; `sandbox.serving` is what runs there.
"""

import asyncio
import contextlib
import socket
import subprocess
import sys
from collections.abc import Mapping

from sandbox import frames
from sandbox.choose import Backend, Choice
from sandbox.errors import RunUnderWay, SandboxError, Unavailable
from sandbox.order import BackendName, Order, Outcome
from sandbox.policy import Policy
from sandbox.room import misfit


class Gone(SandboxError):
    """The process that starts sandboxes has ended, and this one cannot start another."""

    def __init__(self) -> None:
        super().__init__("the process that starts sandboxes has ended")


class Apart:
    """One process that starts sandboxes; it ends with this one, or when this is closed."""

    def __init__(self, choice: Choice, policy: Policy, env: Mapping[str, str]) -> None:
        """Start it with `env` as its whole environment. It chooses no backend before it is asked."""
        self._policy = policy
        self._socket, theirs = socket.socketpair()
        with theirs:
            # -P: a folder named `sandbox` where this is started must not be what runs.
            argv = [sys.executable, "-P", "-m", "sandbox.serving", str(theirs.fileno())]
            self._process = subprocess.Popen(
                argv, env=dict(env), stdin=subprocess.DEVNULL, pass_fds=[theirs.fileno()]
            )
        self._socket.sendall(frames.frame(frames.Begin(choice, policy)))
        self._connecting = asyncio.Lock()
        self._writer: asyncio.StreamWriter | None = None
        self._reading: asyncio.Task[None] | None = None
        self._writing: asyncio.Task[None] | None = None
        self._outbox: asyncio.Queue[bytes] = asyncio.Queue()
        self._waiting: dict[int, asyncio.Future[frames.Answer]] = {}
        self._number = 0

    @property
    def pid(self) -> int:
        return self._process.pid

    async def find(self) -> Backend:
        """Return a backend that works, in place of the one before.

        Raises:
            Unavailable: none works.
            Gone: nobody is there to start one.
        """
        answer = await self.ask(frames.Choose(self.next_number()))
        return _Backend(self, answer.name, self._policy)

    async def ended(self) -> None:
        """Return when the process is gone."""
        await self._connect()
        assert self._reading is not None
        await asyncio.wait({self._reading})

    async def close(self) -> None:
        """Let the process end, with all that it runs, and wait until it has."""
        if self._writing is not None:
            self._writing.cancel()
            await asyncio.gather(self._writing, return_exceptions=True)
        if self._writer is not None:
            self._writer.close()
        else:
            self._socket.close()
        await asyncio.to_thread(self._process.wait)
        if self._reading is not None:
            await asyncio.wait({self._reading})

    def next_number(self) -> int:
        self._number += 1
        return self._number

    async def ask(self, question: frames.Question) -> frames.Answer:
        """Return the answer; cancelled, wait until nothing is left of what was asked.

        Raises:
            Gone, Unavailable, RunUnderWay, SandboxError: instead of an answer.
        """
        await self._connect()
        assert self._reading is not None
        if self._reading.done():
            raise Gone
        answer = self._waiting[question.number] = asyncio.get_running_loop().create_future()
        self._outbox.put_nowait(frames.frame(question))
        try:
            return _checked(await asyncio.shield(answer))
        except asyncio.CancelledError:
            if not answer.done():
                self._outbox.put_nowait(frames.frame(frames.Cancel(question.number)))
                await asyncio.wait({answer})
            answer.exception()
            raise

    async def _connect(self) -> None:
        async with self._connecting:
            if self._writer is None:
                reader, self._writer = await asyncio.open_connection(sock=self._socket)
                self._reading = asyncio.create_task(self._read(reader))
                self._writing = asyncio.create_task(frames.write_frames(self._outbox, self._writer))

    async def _read(self, reader: asyncio.StreamReader) -> None:
        try:
            while True:
                answer = await frames.read_frame(reader, frames.Answer, frames.longest(self._policy))
                if waiting := self._waiting.pop(answer.number, None):
                    waiting.set_result(answer)
        except EOFError:
            pass
        finally:
            for left in self._waiting.values():
                left.set_exception(Gone())
            self._waiting.clear()


def _checked(answer: frames.Answer) -> frames.Answer:
    match answer.trouble:
        case "":
            return answer
        case "unavailable":
            raise Unavailable(answer.reason, answer.fix)
        case "under_way":
            raise RunUnderWay(answer.reason)
    raise SandboxError(answer.reason or answer.trouble)


class _Backend:
    """A backend over there. Bound to the event loop it was found in."""

    def __init__(self, apart: Apart, name: BackendName, policy: Policy) -> None:
        self.name = name
        self._apart = apart
        self._policy = policy

    async def run(self, order: Order) -> Outcome:
        if (trouble := misfit(order, self._policy)) is not None:
            reason, fix, limit = trouble
            return Outcome(
                status="not_started", backend=self.name, limits_hit=(limit,), reason=reason, fix=fix
            )
        outcome = (await self._apart.ask(frames.Run(self._apart.next_number(), order))).outcome
        assert outcome is not None
        return outcome

    async def sweep(self, older_than_s: float = 0.0) -> tuple[str, ...]:
        return (await self._apart.ask(frames.Sweep(self._apart.next_number(), older_than_s))).swept

    async def describe(self) -> tuple[dict[str, str], tuple[str, ...]]:
        answer = await self._apart.ask(frames.Describe(self._apart.next_number()))
        return answer.parts, answer.notes

    async def close(self) -> None:
        with contextlib.suppress(Gone):  # and everything with it
            await self._apart.ask(frames.Close(self._apart.next_number()))
