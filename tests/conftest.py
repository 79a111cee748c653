"""Fixtures for every storey: a private, real nats-server with the project's own configuration."""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from actors.datadir import DataDir
from actors.reference import CONF
from actors.server import NatsServer, find
from actors.table import TABLE
from bus import setup
from bus.authority import principals, variable
from bus.jetstream import JetStreamCarrier, connect
from bus.topology import topology


def pytest_configure() -> None:
    """Let Ctrl-C work for what tests start, also where they are run in the background, which ignores it."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@dataclass
class Nats:
    """A running nats-server with the company's accounts, streams and consumers."""

    server: NatsServer
    passwords: dict[str, str]
    _stack: AsyncExitStack = field(default_factory=AsyncExitStack)

    async def connect(self, principal: str) -> JetStreamCarrier:
        """Connect as a principal; closed when the test ends."""
        carrier = await connect(self.server.url, user=principal, password=self.passwords[principal])
        self._stack.push_async_callback(carrier.close)
        return carrier


@pytest.fixture
def ack_wait_s() -> float:
    """How long the company's consumers wait for an ack; a test module may override it."""
    return 2.0


@pytest.fixture
async def nats(tmp_path: Path, ack_wait_s: float) -> AsyncIterator[Nats]:
    data_dir = DataDir(tmp_path / "company")
    data_dir.create()
    passwords = data_dir.credentials(principals(TABLE))
    env = {variable(name): password for name, password in passwords.items()}
    async with NatsServer(find(None), CONF, data_dir.nats, data_dir.run, "auto", env) as server:
        nats = Nats(server, passwords)
        async with nats._stack:
            admin = await nats.connect("admin")
            await setup.apply(admin, topology(TABLE, ack_wait_s=ack_wait_s))
            yield nats
