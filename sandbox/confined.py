"""One bubblewrap process tree: its start, its streams, its end."""

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator
from typing import Any, BinaryIO

import msgspec

from sandbox.confinement import bwrap_command, program_limits
from sandbox.containers import BY_SHELL
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
        self._pumps = [
            asyncio.create_task(_pump(process.stdout, self.stdout)),
            asyncio.create_task(_pump(process.stderr, self.stderr)),
        ]

    async def feed(self, order: Order, policy: Policy, answer_fd: int) -> None:
        """Hand the order to the runner; ends quietly when nobody reads it."""
        files = sorted(order.files.items())
        header = {
            "argv": [*BY_SHELL, *order.argv],
            "files": [(path, len(content)) for path, content in files],
            "stdin_bytes": len(order.stdin),
            "limits": program_limits(policy),
            "file_bytes": max([policy.file_bytes, *(len(content) for _, content in files)]),
            "answer_fd": answer_fd,
        }
        pipe = self.process.stdin
        assert pipe is not None
        with contextlib.suppress(ConnectionError):
            for piece in (
                msgspec.json.encode(header),
                b"\n",
                *(content for _, content in files),
                order.stdin,
            ):
                pipe.write(piece)
                await pipe.drain()
        pipe.close()

    async def kill(self) -> None:
        """Kill the whole tree, if it lives, and wait until its streams have ended."""
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._handle, signal.SIGKILL)
        await self.process.wait()
        await self.settle()

    async def settle(self) -> None:
        """Wait a moment for the rest of the output."""
        await asyncio.wait(self._pumps, timeout=_DRAIN_AFTER_EXIT_S)

    async def end(self) -> None:
        """Kill what is left and give everything back."""
        await self.kill()
        for pump in self._pumps:
            pump.cancel()
        await asyncio.wait(self._pumps)
        self.answer.close()
        os.close(self._handle)


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
    feeding = asyncio.create_task(box.feed(order, policy, answer_out))
    try:
        yield box
    finally:
        feeding.cancel()
        await asyncio.shield(asyncio.ensure_future(box.end()))


def _unprivileged() -> dict[str, Any]:
    if os.geteuid() != 0:
        return {}
    return {"user": UNPRIVILEGED_UID, "group": UNPRIVILEGED_UID, "extra_groups": []}
