"""The adder of the contract suite, and ways to run it: served, drained, killed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import msgspec
from contract_world import TOY, Add, Sum

from bus.envelope import Letter, Mail
from bus.fold import Role, Step
from bus.loops.means import LoopSettings
from bus.loops.role import RoleLoop
from bus.subjects import MAIL_STREAM


class Total(msgspec.Struct, frozen=True, kw_only=True):
    total: int = 0


def handle(state: Total, mail: Mail) -> Step:
    assert isinstance(mail.message, Add)
    if mail.message.number == UNLUCKY:
        raise ValueError(f"{mail.message.number} is unlucky")
    total = Total(total=state.total + mail.message.number)
    return Step(total, [Letter(to="ceo", message=Sum(total=total.total))])


UNLUCKY = 1300

ADDER: Role[Total] = Role(name="adder", version=1, state=Total, handle=handle)
SETTINGS = LoopSettings(ack_wait_s=1.0, drain_s=3.0)


@asynccontextmanager
async def serving(
    carrier: Any, role: Role[Any] = ADDER, settings: LoopSettings = SETTINGS
) -> AsyncIterator[asyncio.Task[None]]:
    """Run a role loop; drained at the end."""
    stop = asyncio.Event()
    task = asyncio.create_task(RoleLoop(role, TOY, carrier, settings).run(stop))
    try:
        yield task
    finally:
        stop.set()
        await asyncio.gather(task, return_exceptions=True)


@asynccontextmanager
async def doomed(
    world: Any, role: Role[Any] = ADDER, settings: LoopSettings = SETTINGS
) -> AsyncIterator[RoleLoop]:
    """Run a role loop that ends as a killed process does: nothing flushed, saved or given back."""
    carrier = await world.carrier()
    loop = RoleLoop(role, TOY, carrier, settings)
    await loop.start()
    try:
        yield loop
    finally:
        await world.kill(carrier)
        loop._means.deliveries.let_go()
        await loop._means.publisher.stop()


async def sums(carrier: Any, mission: str = "m-1") -> list[int]:
    """Return the totals that the adder sent, in the order of the log."""
    stored = await carrier.read(MAIL_STREAM, f"coo.m.{mission}.ceo.sum.adder", 1)
    return [msgspec.json.decode(one.body, type=Sum).total for one in stored]


async def wait_for(look: Callable[[], Any], wanted: object, timeout_s: float = 6.0) -> None:
    async with asyncio.timeout(timeout_s):
        while await look() != wanted:
            await asyncio.sleep(0.02)
