"""How a command waits for a mission: how long, and what it says when it is interrupted or late."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer

from actors.cli.follow import Watch, late
from actors.cli.options import run
from actors.errors import Kind, UserError
from actors.projections.timeline import spell


@dataclass(frozen=True)
class Waiting:
    """How a command waits for a mission: in which view, how long, and where the files go at the end."""

    follow: bool
    json: bool
    timeout_s: float | None
    out: Path | None = None


class Progress:
    """How far a command got, for whoever interrupts it."""

    name = ""
    published = False
    watch: Watch | None = None


@asynccontextmanager
async def in_time(progress: Progress, waiting: Waiting | None) -> AsyncIterator[None]:
    """Bound what a command does by the time it was given, and say how far it got when that is over.

    It counts from the connection on, which has a bound of its own and says its own reasons.
    """
    timeout_s = None if waiting is None else waiting.timeout_s
    try:
        async with asyncio.timeout(timeout_s):
            yield
    except TimeoutError as error:
        if timeout_s is None:
            raise
        if progress.watch is not None:
            raise late(progress.watch.record, timeout_s) from error
        what = f"The server has not answered after {spell(int(timeout_s * 1e9))}."
        if not progress.name or progress.published:
            raise UserError(Kind.TIMEOUT, what, "Is it there? See why: coo logs nats-server.") from error
        what = f"{what} {progress.name} may have been published, or not."
        raise UserError(Kind.TIMEOUT, what, f"Look: coo show {progress.name}.") from error


def interruptible(progress: Progress, work: Any) -> None:
    """Run a command's work; Ctrl-C lets go of the mission, and says how to come back to it."""
    try:
        code = run(work)
    except KeyboardInterrupt:
        name = progress.name
        if progress.published:
            fix = f"Look again: coo follow {name}. End it: coo cancel {name}."
            raise UserError(Kind.DETACHED, f"Let go of {name}; the mission goes on.", fix) from None
        if name:
            what = f"Interrupted: {name} may have been published, or not."
            raise UserError(Kind.DETACHED, what, f"Look: coo show {name}.") from None
        raise UserError(Kind.DETACHED, "Interrupted.") from None
    if code:
        raise typer.Exit(int(code))
