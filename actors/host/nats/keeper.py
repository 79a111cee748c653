"""Starts the company's nats-server again, on the port it had, whenever it ends unasked."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random

from actors.host.children import cause
from actors.host.nats.binary import ServerError
from actors.host.nats.server import NatsServer
from actors.host.supervisor import Hindrance, ProcessEvent, RestartPolicy, Restarts, hindered

NAME = "nats-server"

_POLICY = RestartPolicy(healthy_after_s=5.0)
"""Nobody can work without it, and one that served for seconds was not what is wrong: it is back at once."""


@dataclass(eq=False)
class ServerGivenUp(ServerError):
    """nats-server ended too often; without it nobody can work."""

    text = "nats-server is given up ({reason})"
    advice = "Its log says why: {log}"
    reason: str
    log: Path


async def keep(
    server: NatsServer,
    on_event: Callable[[ProcessEvent], None],
    policy: RestartPolicy | None = None,
    random: Random | None = None,
    hindrance: Hindrance | None = None,
) -> None:
    """Keep a started server running until cancelled; cancel it before the server is stopped.

    While `hindrance` finds something it is not started again, and its end does not count.

    Raises:
        ServerGivenUp: it ended too often, or could not be started again.
    """
    loop = asyncio.get_running_loop()
    policy = policy or _POLICY
    restarts = Restarts(policy, random or Random())
    while True:
        started_s, pid = loop.time(), server.pid
        reason = await _end(server, on_event)
        if loop.time() - started_s >= policy.healthy_after_s:
            restarts.forget()  # it did its work: what ended it is not what it does
        while True:
            ended = ProcessEvent("crashed", NAME, pid, None, reason, server.log_tail())
            if await hindered(ended, hindrance, on_event):
                restarts.forget()
            delay_s = restarts.delay_s(now_s=loop.time(), ran_s=loop.time() - started_s)
            if delay_s is None:
                raise ServerGivenUp(reason, server.log)
            on_event(replace(ended, restart_in_s=delay_s))
            await asyncio.sleep(delay_s)
            started_s = loop.time()
            try:
                await server.restart()
                break
            except (ServerError, OSError) as error:  # such as a port that somebody else took meanwhile
                reason = str(error)
        on_event(ProcessEvent("started", NAME, server.pid))


async def _end(server: NatsServer, on_event: Callable[[ProcessEvent], None]) -> str:
    """Wait until the server has ended, and return why; one that cannot write is ended when it could again."""
    pid, stuck = server.pid, ""

    def on_broken(why: str) -> None:
        nonlocal stuck
        stuck = why
        on_event(ProcessEvent("stuck", NAME, pid, None, why, server.log_tail()))

    mending = asyncio.create_task(server.mended(on_broken))
    try:
        reason = cause(await server.wait_exit())
    finally:
        mending.cancel()
        await asyncio.gather(mending, return_exceptions=True)
    return f"ended so that it writes again after {stuck}" if stuck else reason
