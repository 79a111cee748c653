"""A nats-server that is killed: started again where it was, and given up when that does not help."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path

import pytest

from actors.host.nats.binary import find
from actors.host.nats.keeper import NAME, ServerGivenUp, keep
from actors.host.nats.server import NatsServer
from actors.host.supervisor import ProcessEvent, RestartPolicy

Until = Callable[[Callable[[], object]], Awaitable[None]]

CONF = "jetstream { store_dir: $COO_NATS_STORE, max_file_store: 64MB }\n"
QUICK = RestartPolicy(first_delay_s=0.01, max_delay_s=0.05, max_crashes=4)


@pytest.fixture
def server(tmp_path: Path) -> NatsServer:
    conf = tmp_path / "nats.conf"
    conf.write_text(CONF)
    return NatsServer(find(None), conf, tmp_path / "store", tmp_path, "auto", {})


async def test_a_killed_server_runs_again_on_its_port(server: NatsServer, until: Until) -> None:
    events: list[ProcessEvent] = []
    async with server:
        url, died = server.url, server.pid
        keeper = asyncio.create_task(keep(server, events.append, QUICK))
        os.kill(died, signal.SIGKILL)
        await until(lambda: [event.kind for event in events] == ["crashed", "started"])
        keeper.cancel()
        with suppress(asyncio.CancelledError):
            await keeper
        assert server.url == url
        assert (events[0].name, events[0].pid, events[0].reason) == (NAME, died, "signal 9 (Killed)")
        assert events[1].pid == server.pid != died


async def test_a_server_that_does_not_start_again_is_given_up_with_the_reason(
    server: NatsServer, tmp_path: Path
) -> None:
    events: list[ProcessEvent] = []
    async with server:
        (tmp_path / "nats.conf").write_text(CONF + "nonsense_key: 1\n")
        os.kill(server.pid, signal.SIGKILL)
        with pytest.raises(ServerGivenUp, match="nonsense_key") as given_up:
            await keep(server, events.append, QUICK)
    assert [event.kind for event in events] == ["crashed"] * 3
    assert str(server.log) in given_up.value.fix
