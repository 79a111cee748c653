"""A real nats-server as a child: ports, failures, kills, and the store that outlives them."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from subprocess import Popen
from typing import Any

import nats
import psutil
import pytest
from nats.aio.client import Client

from actors.host.nats.binary import find, version
from actors.host.nats.server import NatsServer, PortTaken, StartFailed, StillRunning, StoreElsewhere

Servers = Callable[..., NatsServer]
Program = Callable[..., Popen[str]]
Until = Callable[[Callable[[], object]], Awaitable[None]]
Lives = Callable[[int], bool]

BINARY = find(None)
CONF = """
listen: 0.0.0.0:4222
http: 127.0.0.1:-1
jetstream { %s sync_interval: always, max_file_store: 64MB }
accounts { HUB: { jetstream: enabled, users: [ {user: admin, password: $COO_ADMIN_PASSWORD} ] } }
"""
OURS = "store_dir: $COO_NATS_STORE,"
ENV = {"COO_ADMIN_PASSWORD": "a1b2c3"}

PARENT = """
import asyncio, sys
from pathlib import Path
from actors.host.nats.server import NatsServer, find
async def main(conf, store, run_dir, port="auto"):
    env = {"COO_ADMIN_PASSWORD": "a1b2c3"}
    async with NatsServer(find(None), conf, store, run_dir, port, env) as server:
        print(server.pid, server.url, flush=True)
        await server.wait_exit()
asyncio.run(main(*map(Path, sys.argv[1:4]), *map(int, sys.argv[4:])))
"""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Return a folder with a blank in its name that has a conf and a run folder."""
    home = tmp_path / "a company"
    (home / "run").mkdir(parents=True)
    (home / "nats.conf").write_text(CONF % OURS)
    return home


@pytest.fixture
async def server(home: Path) -> AsyncIterator[Servers]:
    """Make servers on the company's conf, store and run folder; those left running are stopped."""
    made = []

    def make(**changed: Any) -> NatsServer:
        given = {
            "binary": BINARY,
            "conf": home / "nats.conf",
            "store": home / "store",
            "run_dir": home / "run",
        }
        made.append(NatsServer(**{**given, "port": "auto", "env": ENV, **changed}))
        return made[-1]

    yield make
    for one in made:
        await one.stop()


async def connect(running: NatsServer) -> Client:
    return await nats.connect(running.url, user="admin", password="a1b2c3", allow_reconnect=False)


async def publish(running: NatsServer, count: int) -> None:
    client = await connect(running)
    stream = client.jetstream()
    await stream.add_stream(name="COO", subjects=["coo.>"])
    for n in range(count):
        await stream.publish("coo.m", str(n).encode())
    await client.close()


async def stored(running: NatsServer) -> int:
    client = await connect(running)
    info = await client.jetstream().stream_info("COO")
    await client.close()
    return int(info.state.messages)


def line(process: Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline()


def a_free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def test_an_automatic_port_is_free_and_only_on_this_machine(server: Servers) -> None:
    async with server() as running:
        listening = [c.laddr for c in psutil.Process(running.pid).net_connections() if c.status == "LISTEN"]
        assert running.url == f"nats://127.0.0.1:{running.port}"
        assert ("127.0.0.1", running.port) in listening
        assert {address for address, _ in listening} == {"127.0.0.1"}
        assert running.version == version(BINARY)


async def test_a_given_port_is_used(server: Servers) -> None:
    port = a_free_port()
    async with server(port=port) as running:
        assert running.url == f"nats://127.0.0.1:{port}"


async def test_a_company_killed_and_started_again_at_once_gets_its_port_and_store(
    home: Path, server: Servers, program: Program
) -> None:
    port = a_free_port()
    parent = program(PARENT, home / "nats.conf", home / "store", home / "run", port)
    line(parent)
    parent.kill()
    again = server(port=port)
    await again.restart()
    assert again.port == port


@pytest.mark.parametrize("setting", [OURS, "", "# store_dir: elsewhere\n"])
async def test_the_store_is_the_given_one(home: Path, server: Servers, setting: str) -> None:
    (home / "nats.conf").write_text(CONF % setting)
    async with server() as running:
        await publish(running, 1)
    assert (home / "store/jetstream/HUB/streams/COO").is_dir()


async def test_a_store_of_the_configurations_own_is_refused_with_the_fix(home: Path, server: Servers) -> None:
    (home / "nats.conf").write_text(CONF % 'store_dir: "./data",')
    with pytest.raises(StoreElsewhere, match=r"\./data.*Write `store_dir: \$COO_NATS_STORE`"):
        await server().restart()


async def test_a_variable_in_quotes_is_a_folder_of_that_name_and_refused(home: Path, server: Servers) -> None:
    (home / "nats.conf").write_text(CONF % 'store_dir: "$COO_NATS_STORE",')
    with pytest.raises(StoreElsewhere):
        await server().restart()


async def test_a_port_taken_is_told_before_anything_starts(home: Path, server: Servers) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(PortTaken, match=f"127.0.0.1:{port} .Address already in use.*--port auto"):
            await server(port=port).restart()
    assert not (home / "store").exists()
    assert not (home / "run/nats-server.log").exists()


async def test_a_port_taken_by_a_nats_server_says_so(tmp_path: Path, server: Servers) -> None:
    (tmp_path / "second").mkdir()
    async with server() as running:
        second = server(store=tmp_path / "s", run_dir=tmp_path / "second", port=running.port)
        with pytest.raises(PortTaken) as refused:
            await second.restart()
    assert refused.value.by == f"nats-server {running.version} is there"


async def test_a_configuration_that_is_wrong_fails_with_the_servers_own_words(
    home: Path, server: Servers
) -> None:
    (home / "run/nats-server.log").write_text("what an earlier run said\n")
    (home / "nats.conf").write_text(CONF % OURS + "nonsense_key: 1\n")
    with pytest.raises(StartFailed, match="nonsense_key") as refused:
        await server().restart()
    assert "earlier run" not in refused.value.log_tail


async def test_a_password_that_nats_server_reads_as_a_number_fails_to_start(server: Servers) -> None:
    with pytest.raises(StartFailed, match="int64, not string"):
        await server(env={"COO_ADMIN_PASSWORD": "123"}).restart()


async def test_a_server_that_never_gets_ready_is_killed_and_named(
    home: Path, server: Servers, lives: Lives
) -> None:
    slow = home / "nats-server"
    slow.write_text(f"#!/bin/sh\necho $$ > '{home}/pid'\necho too slow\nexec sleep 60\n")
    slow.chmod(0o755)
    with pytest.raises(StartFailed, match=r"not ready after 0\.5 s(.|\n)*too slow"):
        await server(binary=slow, ready_timeout_s=0.5).restart()
    assert not lives(int((home / "pid").read_text()))


async def test_stopping_leaves_the_store_and_no_traces(home: Path, server: Servers, lives: Lives) -> None:
    async with server() as running:
        pid = running.pid
        await publish(running, 10)
        assert (home / "run/nats-server.pid").read_text().strip() == str(pid)
    assert not lives(pid)
    assert {path.name for path in (home / "run").iterdir()} == {"nats-server.log", "nats-server.lock"}
    async with server() as running:
        assert await stored(running) == 10


async def test_a_killed_server_restarts_on_its_port_with_its_store(home: Path, server: Servers) -> None:
    async with server() as running:
        port, first = running.port, running.pid
        await publish(running, 50)
        os.kill(first, signal.SIGKILL)
        assert await running.wait_exit() == -signal.SIGKILL
        assert list((home / "run").glob("*.ports"))
        await running.restart()
        assert running.port == port
        assert running.pid != first
        assert await stored(running) == 50
        assert [path.name for path in (home / "run").glob("*.ports")] == [f"nats-server_{running.pid}.ports"]


async def test_a_ports_file_left_by_a_dead_server_confuses_nobody(home: Path, server: Servers) -> None:
    (home / "run/nats-server_999999999.ports").write_text('{"nats": ["nats://127.0.0.1:1"]}')
    async with server() as running:
        assert running.port != 1
    assert not list((home / "run").glob("*.ports"))


async def test_a_server_that_hangs_is_killed_in_the_end(server: Servers, lives: Lives) -> None:
    running = server()
    await running.restart()
    pid = running.pid
    os.kill(pid, signal.SIGSTOP)
    await running.stop(timeout_s=0.2)
    assert not lives(pid)


async def test_a_cancelled_start_leaves_nothing(
    home: Path, server: Servers, until: Until, lives: Lives
) -> None:
    slow = home / "nats-server"
    slow.write_text(
        f"#!/bin/sh\necho $$ > '{home}/pid.new'\nmv '{home}/pid.new' '{home}/pid'\nexec sleep 60\n"
    )
    slow.chmod(0o755)
    starting = asyncio.create_task(server(binary=slow).restart())
    await until((home / "pid").exists)
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    assert not lives(int((home / "pid").read_text()))


async def test_a_killed_parent_leaves_no_server_and_the_store_goes_on(
    home: Path, server: Servers, program: Program, until: Until, lives: Lives
) -> None:
    parent = program(PARENT, home / "nats.conf", home / "store", home / "run")
    pid = int(line(parent).split()[0])
    assert lives(pid)
    parent.kill()
    await until(lambda: not lives(pid))
    async with server():
        pass


async def test_a_server_still_ending_is_waited_for(home: Path, server: Servers, program: Program) -> None:
    parent = program(PARENT, home / "nats.conf", home / "store", home / "run")
    pid = int(line(parent).split()[0])
    os.kill(pid, signal.SIGSTOP)
    parent.kill()
    starting = asyncio.create_task(server().restart())
    done, _ = await asyncio.wait([starting], timeout=0.2)
    assert not done
    os.kill(pid, signal.SIGCONT)
    await starting


async def test_a_server_that_does_not_end_is_named(server: Servers) -> None:
    async with server() as first:
        with pytest.raises(StillRunning, match=f"kill {first.pid}"):
            await server(predecessor_timeout_s=0.1).restart()
        await publish(first, 1)


async def test_ctrl_c_in_the_terminal_does_not_reach_the_server(home: Path, program: Program) -> None:
    parent = program(PARENT, home / "nats.conf", home / "store", home / "run")
    pid = int(line(parent).split()[0])
    assert os.getpgid(pid) == pid
    assert os.getsid(pid) != os.getsid(parent.pid)


async def test_a_server_found_under_another_name_works(home: Path, server: Servers) -> None:
    binary = home / "nats-server-next"
    shutil.copy(BINARY, binary)
    async with server(binary=binary) as running:
        assert running.port
