"""One bubblewrap process tree: its start, its streams, its end."""

import asyncio
import contextlib
import math
import os
import signal
from collections.abc import AsyncIterator, Iterable
from typing import Any, BinaryIO

import msgspec

from sandbox.confinement import bwrap_command, program_limits
from sandbox.containers import BY_SHELL, DEAD_MAN_GRACE_S, effective_timeout_s
from sandbox.order import Order
from sandbox.policy import Policy
from sandbox.runtime import Runtime
from sandbox.streams import Capture

# Who root becomes: a uid of its own, so that no other process of that user exists on the host.
UNPRIVILEGED_UID = 65531

_DRAIN_AFTER_EXIT_S = 0.5
_READ_BYTES = 64 * 1024


class Confined:
    """Hold a started sandbox. `answer` is what the runner inside writes, and as hostile as the program."""

    def __init__(self, process: asyncio.subprocess.Process, answer: BinaryIO, policy: Policy) -> None:
        self.process = process
        # Not Process.kill(): it may reap the child behind asyncio's back, and a pid may be another's by then.
        self._handle = os.pidfd_open(process.pid)
        self.answer = answer
        self.flooded = asyncio.Event()
        self.stdout, self.stderr = (
            Capture(policy.output_bytes, policy.flood_bytes, self.flooded.set) for _ in range(2)
        )
        assert process.stdout is not None
        assert process.stderr is not None
        self._streams = [
            asyncio.create_task(_pump(process.stdout, self.stdout)),
            asyncio.create_task(_pump(process.stderr, self.stderr)),
        ]

    def feed(self, order: Order, policy: Policy, answer_fd: int) -> None:
        """Begin to hand the order to the runner; ends quietly when nobody reads it."""
        files = sorted(order.files.items())
        header = {
            "argv": [*BY_SHELL, *order.argv],
            "files": [(path, len(content)) for path, content in files],
            "stdin_bytes": len(order.stdin),
            "limits": program_limits(policy),
            "file_bytes": max([policy.file_bytes, *(len(content) for _, content in files)]),
            "answer_fd": answer_fd,
            "dead_man_s": math.ceil(effective_timeout_s(order, policy) + DEAD_MAN_GRACE_S),
        }
        pieces = (msgspec.json.encode(header), b"\n", *(content for _, content in files), order.stdin)
        assert self.process.stdin is not None
        self._streams.append(asyncio.create_task(_feed(self.process.stdin, pieces)))

    async def kill(self) -> None:
        """Kill the whole tree, if it lives, and wait until its streams have ended."""
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._handle, signal.SIGKILL)
            # The group as well: bwrap's child does not die with bwrap in its first milliseconds, and would
            # wait for ever with our pipes open.
            os.killpg(self.process.pid, signal.SIGKILL)
        await self.process.wait()
        await self.settle()

    async def settle(self) -> None:
        """Wait a moment for the rest of the output."""
        await asyncio.wait(self._streams, timeout=_DRAIN_AFTER_EXIT_S)

    async def end(self) -> None:
        """Kill what is left and give everything back."""
        await self.kill()
        for stream in self._streams:
            stream.cancel()
        await asyncio.wait(self._streams)
        self.answer.close()
        os.close(self._handle)


async def _feed(pipe: asyncio.StreamWriter, pieces: Iterable[bytes]) -> None:
    try:
        for piece in pieces:
            pipe.write(piece)
            await pipe.drain()
    except ConnectionError:
        pass  # whoever does not read is dying, and the answer's end says so
    finally:
        pipe.close()


async def _pump(stream: asyncio.StreamReader, capture: Capture) -> None:
    while chunk := await stream.read(_READ_BYTES):
        capture.feed(chunk)


@contextlib.asynccontextmanager
async def confined(
    order: Order, policy: Policy, runtime: Runtime, bpf_filter: bytes
) -> AsyncIterator[Confined]:
    """Start a sandbox for an order and hand it the order; whatever happens, nothing of it is left afterwards.

    Raises:
        OSError: bwrap could not be executed.
    """
    starting = asyncio.create_task(_start(order, policy, runtime, bpf_filter))
    try:
        # Never cancelled half-way: asyncio would kill bwrap alone.
        yield await asyncio.shield(starting)
    finally:
        await asyncio.shield(asyncio.ensure_future(_end(starting)))


async def _end(starting: asyncio.Task[Confined]) -> None:
    await asyncio.wait({starting})
    if starting.exception() is None:
        await starting.result().end()


async def _start(order: Order, policy: Policy, runtime: Runtime, bpf_filter: bytes) -> Confined:
    answer_in, answer_out = os.pipe()
    answer = os.fdopen(answer_in, "rb")
    filter_fd = os.memfd_create("seccomp")
    os.write(filter_fd, bpf_filter)
    os.lseek(filter_fd, 0, os.SEEK_SET)
    try:
        process = await asyncio.create_subprocess_exec(
            *bwrap_command(runtime.bwrap, runtime.root, policy, filter_fd),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            pass_fds=(filter_fd, answer_out),
            cwd="/",
            start_new_session=True,  # a group of its own to kill, and no terminal to type into
            env={},  # bwrap's own process shows it to the program
            **_unprivileged(),
        )
    except BaseException:
        answer.close()
        raise
    finally:
        os.close(answer_out)
        os.close(filter_fd)
    box = Confined(process, answer, policy)
    box.feed(order, policy, answer_out)
    return box


def _unprivileged() -> dict[str, Any]:
    if os.geteuid() != 0:
        return {}
    return {"user": UNPRIVILEGED_UID, "group": UNPRIVILEGED_UID, "extra_groups": []}
