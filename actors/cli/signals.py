"""Signals that end a command: once to drain, twice to kill, never halfway into a step."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, Protocol


class Heard(Protocol):
    """Told of each signal; `again` from the second one on."""

    def __call__(self, *, again: bool) -> None: ...


async def until_signalled(work: Coroutine[Any, Any, Any], heard: Heard) -> int:
    """Run `work` until it ends or SIGINT or SIGTERM comes; return how many came.

    The first cancels it, which drains; a second one cancels it again, which kills.
    """
    asked: list[int] = []
    running = asyncio.ensure_future(work)

    def on_signal(number: int) -> None:
        asked.append(number)
        heard(again=len(asked) > 1)
        running.cancel()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, on_signal, number)
    try:
        await running
    except asyncio.CancelledError:
        if not asked:
            running.cancel()
            await asyncio.wait({running})
            raise
    return len(asked)


@contextmanager
def held_back() -> Iterator[None]:
    """Let SIGINT and SIGTERM wait until this block is left; a process started in it gets its own at once."""
    heard: list[int] = []
    handlers = {
        number: signal.signal(number, lambda number, _: heard.append(number))
        for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        for heard_number in heard:
            signal.raise_signal(heard_number)
