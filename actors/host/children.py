"""Child processes that end with their parent: started, signalled, ended, and why they ended."""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
import sys
from asyncio.subprocess import Process
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from actors.process.held import ENVIRONMENT, HeldPipe

EX_UNAVAILABLE = 127  # what a shell says of a program that could not be started

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None) if sys.platform == "linux" else None  # loaded here: not safe between fork and exec


async def start_process(
    argv: Sequence[str],
    env: Mapping[str, str],
    log: Path,
    stdin: int | BinaryIO,
    pipe: HeldPipe | None = None,
) -> Process:
    """Start a process that leads its own session, ends with this one, and appends what it writes to `log`."""
    told = {ENVIRONMENT: str(pipe.write_fd)} if pipe else {}
    with log.open("ab") as output:
        process = await asyncio.create_subprocess_exec(
            *argv,
            env={**env, **told},
            pass_fds=(pipe.write_fd,) if pipe else (),
            stdin=stdin,
            stdout=output,
            stderr=output,
            start_new_session=True,
            preexec_fn=_ask_for_death_signal(os.getpid()) if _libc else None,
        )
    if pipe is not None:
        pipe.given_away()
    return process


def send(process: Process, number: signal.Signals) -> None:
    """Signal a process: SIGKILL its whole group, any other itself alone, so that it can end its own."""
    with suppress(ProcessLookupError, PermissionError):  # macOS: EPERM for a group of zombies
        if number is signal.SIGKILL:
            os.killpg(process.pid, number)
        elif process.returncode is None:
            process.send_signal(number)


async def end(process: Process) -> int:
    """Kill what is left of a process and its group; return its exit code."""
    send(process, signal.SIGKILL)
    return await process.wait()


def cause(returncode: int) -> str:
    """Say how a process ended, for a person: `exit code 1` or `signal 9 (Killed)`."""
    if returncode >= 0:
        return f"exit code {returncode}"
    return f"signal {-returncode} ({signal.strsignal(-returncode)})"


def _ask_for_death_signal(parent: int) -> Callable[[], None]:
    def between_fork_and_exec() -> None:
        assert _libc is not None
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:  # it died before the kernel was asked
            os._exit(EX_UNAVAILABLE)

    return between_fork_and_exec
