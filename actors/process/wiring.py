"""Who serves what: the loops of one actor process, on any carrier."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from importlib import import_module
from typing import TYPE_CHECKING, Any

from actors.performers.stage import Loop, Stage
from actors.table import HALTS, TABLE
from bus.errors import BusError
from bus.fold import Role
from bus.loops.poison import Deaths
from bus.loops.role import RoleLoop
from bus.ports import Carrier
from bus.table import Mailbox, Table
from config.parts import ActorConfig

if TYPE_CHECKING:
    from sandbox import Backend

FindBackend = Callable[[], Awaitable["Backend"]]
FindRole = Callable[[str], Role[Any]]


def server_of(mailbox: Mailbox) -> Any:
    """Return what serves a mailbox, which is imported for it: a role, or a function that makes a loop."""
    module, _, name = mailbox.served_by.partition(":")
    return getattr(import_module(module), name)


def role(name: str, table: Table = TABLE) -> Role[Any]:
    """Return a role by name; only the one that is asked for is imported."""
    found: Role[Any] = server_of(table.mailbox(name))
    return found


def loops(
    process: str,
    carrier: Carrier,
    config: ActorConfig,
    find_backend: FindBackend | None = None,
    nonce: str = "",
    deaths: Deaths | None = None,
    find_role: FindRole | None = None,
    table: Table = TABLE,
) -> list[Loop]:
    """Return the loops that one actor process runs, a mailbox each.

    `nonce` names this process in the money path and must be its alone; by default it is random. `deaths`
    keeps what kills this process. `find_role` finds roles in place of the table.
    """
    stage = Stage(
        table=table,
        carrier=carrier,
        config=config,
        halts=HALTS,
        nonce=nonce or secrets.token_hex(8),
        deaths=deaths,
        find_backend=find_backend,
    )
    return [_loop(stage, mailbox, find_role) for mailbox in table.mailboxes_of(process)]


def _loop(stage: Stage, mailbox: Mailbox, find_role: FindRole | None) -> Loop:
    if mailbox.is_role:
        decider = find_role(mailbox.name) if find_role else role(mailbox.name, stage.table)
        return RoleLoop(decider, stage.table, stage.carrier, stage.loop_settings, stage.deaths)
    loop: Loop = server_of(mailbox)(stage, mailbox.name)
    return loop


async def serve(loops: list[Loop], stop: asyncio.Event) -> None:
    """Run loops until `stop` is set or one of them fails; then all of them end.

    Raises:
        BusError: what the first one to fail raised.
    """
    tasks = [asyncio.create_task(loop.run(stop)) for loop in loops]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
    finally:
        failed = next((t for t in tasks if t.done() and not t.cancelled() and t.exception()), None)
        if failed is not None:
            stop.set()
        for task in tasks:
            if failed is None and not stop.is_set():
                task.cancel()
        ended = await asyncio.gather(*tasks, return_exceptions=True)
    errors = [error for error in ended if isinstance(error, BaseException)]
    if errors:
        raise next((error for error in errors if isinstance(error, BusError)), errors[0])
