"""Fixtures for every storey: a private, real nats-server with the project's own configuration."""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import settings

from actors.host.datadir import DataDir
from actors.host.nats.conf import CONF
from actors.host.nats.server import NatsServer, find
from actors.table import TABLE
from bus.jetstream import JetStreamCarrier, connect
from bus.server import setup
from bus.server.authority import principals, variable
from bus.server.topology import topology


def pytest_configure() -> None:
    """Let Ctrl-C work for what tests start, and no property fail because the machine is busy.

    Where the tests run in the background, what they start would ignore Ctrl-C.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)
    settings.register_profile("untimed", deadline=None)
    settings.load_profile("untimed")


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
