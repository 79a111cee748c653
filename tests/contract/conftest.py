"""One suite, two carriers: whatever is promised here holds in memory and on a real nats-server."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from contract_world import TOY, hand_write

from actors.host.nats.server import NatsServer, find
from bus.errors import Unknown
from bus.jetstream import connect
from bus.memory import MemoryServer
from bus.server import setup
from bus.server.topology import topology
from bus.table import Table

ACK_WAIT_S = 1.0


@dataclass
class World:
    """A log that carriers can be connected to, and killed.

    `write` stores bytes as a taken actor can, under a subject and with headers of its own making, and returns
    the sequence, 0 if the server does not take them.
    """

    connect: Callable[[], Awaitable[Any]]
    write: Callable[[bytes, bytes, bytes], Awaitable[int]]
    kill: Callable[[Any], Awaitable[None]]
    carriers: list[Any] = field(default_factory=list)

    async def carrier(self) -> Any:
        carrier = await self.connect()
        self.carriers.append(carrier)
        return carrier


@pytest.fixture
def toy_table() -> Table:
    """The kind table of the world; a test module may have its own."""
    return TOY


@pytest.fixture
def duplicate_window_s() -> float:
    return 600.0


@pytest.fixture(params=["memory", "jetstream"])
async def world(
    request: pytest.FixtureRequest, tmp_path: Path, toy_table: Table, duplicate_window_s: float
) -> AsyncIterator[World]:
    shape = topology(toy_table, ack_wait_s=ACK_WAIT_S, duplicate_window_s=duplicate_window_s)
    if request.param == "memory":
        server = MemoryServer(shape)

        async def attach() -> Any:
            return server.connect()

        async def kill(carrier: Any) -> None:
            carrier.kill()

        async def write(subject: bytes, raw: bytes, body: bytes) -> int:
            try:
                return server.write(subject, raw, body).seq
            except Unknown:
                return 0

        world = World(attach, write, kill)
        yield world
        for carrier in world.carriers:
            await carrier.close()
        server.close()
        return
    conf = tmp_path / "toy.conf"
    conf.write_text("jetstream { store_dir: $COO_NATS_STORE }")
    async with NatsServer(find(None), conf, tmp_path / "store", tmp_path, "auto", {}) as nats:

        async def attach() -> Any:
            return await connect(nats.url)

        async def kill(carrier: Any) -> None:
            await carrier.nc.close()

        async def write(subject: bytes, raw: bytes, body: bytes) -> int:
            return await hand_write(nats.url, subject, raw, body)

        world = World(attach, write, kill)
        await setup.apply(await world.carrier(), shape)
        yield world
        for carrier in world.carriers:
            await carrier.close()
