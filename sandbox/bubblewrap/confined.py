"""One bubblewrap process tree: its start, its streams, its end."""

import asyncio
import contextlib
import math
import os
import signal
from collections.abc import AsyncIterator, Iterable
from typing import Any, BinaryIO, NamedTuple

import msgspec

from sandbox.bubblewrap.confinement import bwrap_command, program_limits
from sandbox.bubblewrap.controlgroup import WAIT_FOR_WORD, ControlGroup, ControlGroups
from sandbox.bubblewrap.runtime import Runtime
from sandbox.order import Order
from sandbox.policy import Policy
from sandbox.program import BY_SHELL, DEAD_MAN_GRACE_S, effective_timeout_s
from sandbox.streams import Capture

# Who root becomes: a uid of its own, so that no other process of that user exists on the host.
UNPRIVILEGED_UID = 65531

_DRAIN_AFTER_EXIT_S = 0.5
_READ_BYTES = 64 * 1024


class Site(NamedTuple):
    """Say what sandboxes are made of here; `groups` is None where the kernel gives no control group."""

    runtime: Runtime
    bpf_filter: bytes
    groups: ControlGroups | None


class Confined:
    """Hold a started sandbox. `answer` is what the runner inside writes, and as hostile as the program."""

    def __init__(
        self,
        process: asyncio.subprocess.Process,
        answer: BinaryIO,
        policy: Policy,
        group: ControlGroup | None,
    ) -> None:
        self.process = process
        self._group = group
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
            "limits": program_limits(policy, in_group=self._group is not None),
            "file_bytes": max([policy.file_bytes, *(len(content) for _, content in files)]),
            "answer_fd": answer_fd,
            "dead_man_s": math.ceil(effective_timeout_s(order, policy) + DEAD_MAN_GRACE_S),
        }
        word = b"\n" if self._group is not None else b""
        pieces = (word, msgspec.json.encode(header), b"\n", *(content for _, content in files), order.stdin)
        assert self.process.stdin is not None
        self._streams.append(asyncio.create_task(_feed(self.process.stdin, pieces)))

    def limits_hit(self) -> frozenset[str]:
        """Return the limits of the control group that something has met; none without a group."""
        return frozenset() if self._group is None else self._group.limits_hit()

    async def kill(self) -> None:
        """Kill the whole tree, if it lives, and wait until its streams have ended."""
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._handle, signal.SIGKILL)
            # The group as well: bwrap's child does not die with bwrap in its first milliseconds, and would
            # wait for ever with our pipes open.
            os.killpg(self.process.pid, signal.SIGKILL)
        if self._group is not None:
            await asyncio.to_thread(self._group.kill)
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
        if self._group is not None:
            await asyncio.to_thread(self._group.remove)


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
async def confined(order: Order, policy: Policy, site: Site) -> AsyncIterator[Confined]:
    """Start a sandbox for an order and hand it the order; whatever happens, nothing of it is left afterwards.

    Raises:
        OSError: bwrap could not be executed, or its control group not be made.
    """
    starting = asyncio.create_task(_start(order, policy, site))
    try:
        # Never cancelled half-way: asyncio would kill bwrap alone.
        yield await asyncio.shield(starting)
    finally:
        await asyncio.shield(asyncio.ensure_future(_end(starting)))


async def _end(starting: asyncio.Task[Confined]) -> None:
    await asyncio.wait({starting})
    if starting.exception() is None:
        await starting.result().end()


async def _start(order: Order, policy: Policy, site: Site) -> Confined:
    group = None if site.groups is None else await asyncio.to_thread(site.groups.new, order.id, policy)
    answer_in, answer_out = os.pipe()
    answer = os.fdopen(answer_in, "rb")
    try:
        process = await _execute(policy, site, answer_out)
        box = Confined(process, answer, policy, group)
        if group is not None:
            try:
                # It waits for its first word, so nothing of it is ever outside of its group.
                await asyncio.to_thread(group.add, process.pid)
            except BaseException:
                await box.end()
                raise
        box.feed(order, policy, answer_out)
    except BaseException:
        answer.close()
        if group is not None:
            await asyncio.to_thread(group.remove)
        raise
    finally:
        os.close(answer_out)
    return box


async def _execute(policy: Policy, site: Site, answer_out: int) -> asyncio.subprocess.Process:
    filter_fd = os.memfd_create("seccomp")
    try:
        os.write(filter_fd, site.bpf_filter)
        os.lseek(filter_fd, 0, os.SEEK_SET)
        return await asyncio.create_subprocess_exec(
            *(() if site.groups is None else WAIT_FOR_WORD),
            *bwrap_command(site.runtime.bwrap, site.runtime.root, policy, filter_fd),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            pass_fds=(filter_fd, answer_out),
            cwd="/",
            start_new_session=True,  # a group of its own to kill, and no terminal to type into
            env={},  # bwrap's own process shows it to the program
            **_unprivileged(),
        )
    finally:
        os.close(filter_fd)


def _unprivileged() -> dict[str, Any]:
    if os.geteuid() != 0:
        return {}
    return {"user": UNPRIVILEGED_UID, "group": UNPRIVILEGED_UID, "extra_groups": []}
