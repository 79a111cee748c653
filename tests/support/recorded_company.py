"""The company on any carrier, with roles of any version; and recorded logs to put it on."""

from __future__ import annotations

import asyncio
import base64
import gzip
import json
import tarfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import msgspec

from actors import messages as m
from actors.host.datadir import DataDir
from actors.host.nats.conf import CONF
from actors.host.nats.server import NatsServer, find
from actors.process.wiring import loops, role, serve
from actors.table import TABLE
from bus.envelope import Stored, open_letter
from bus.fold import Role
from bus.jetstream import connect
from bus.loops.publisher import publish_surely
from bus.memory import MemoryServer
from bus.server import setup
from bus.server.authority import principals, variable
from bus.server.topology import topology
from bus.subjects import BLOB_STREAM, DLQ_STREAM, MAIL_STREAM
from config.parts import decode
from config.settings import load
from config.split import part

RECORDINGS = Path(__file__).parents[1] / "recordings"
ROLES = ("coo", "engineer", "qa", "approval", "budget")
STREAMS = (MAIL_STREAM, BLOB_STREAM, DLQ_STREAM)
ACK_WAIT_S = 2

Connect = Callable[[str], Awaitable[Any]]
"""Connects as a principal."""


@dataclass(frozen=True)
class Server:
    """A running nats-server with the company's accounts."""

    connect: Connect
    url: str
    passwords: dict[str, str]


class Header(msgspec.Struct, frozen=True, kw_only=True):
    """The first line of a recorded log: the version of each role that wrote it."""

    versions: dict[str, int]


@dataclass
class Process:
    """One actor process, as a task of this one."""

    name: str
    carrier: Any
    task: asyncio.Task[None]
    stop: asyncio.Event


class Company:
    """Actors as tasks, each with its own connection."""

    def __init__(self, connect: Connect, roles: dict[str, Role[Any]] | None = None) -> None:
        self._connect = connect
        self._roles = roles or {}
        self._settings = load(
            None,
            {
                "sandbox": {"backend": "bubblewrap"},
                "bus": {"ack_wait_s": ACK_WAIT_S, "checkpoint_every": 24},
            },
        )
        self.running: list[Process] = []
        self.ceo: Any = None

    async def start(self, names: Iterable[str] = TABLE.processes) -> None:
        self.ceo = self.ceo or await self._connect("ceo")
        for name in names:
            carrier, stop = await self._connect(name), asyncio.Event()
            config = decode(part(self._settings, name, TABLE.needs_of(name)))
            work = loops(name, carrier, config, find_role=self._role)
            self.running.append(Process(name, carrier, asyncio.create_task(serve(work, stop)), stop))

    def _role(self, name: str) -> Role[Any]:
        return self._roles.get(name) or role(name)

    async def drain(self, names: Iterable[str] = TABLE.processes) -> None:
        ended = [process for process in self.running if process.name in names]
        self.running = [process for process in self.running if process not in ended]
        for process in ended:
            process.stop.set()
        for process in ended:
            await process.task

    async def kill(self, name: str) -> None:
        """End a role's process with nothing finished, saved or given back."""
        (process,) = (process for process in self.running if process.name == name)
        self.running.remove(process)
        await process.carrier.close()
        process.task.cancel()
        await asyncio.gather(process.task, return_exceptions=True)

    # -- the CEO ------------------------------------------------------------------------------------

    async def say(self, to: str, mission: str, message: msgspec.Struct, id: str) -> None:
        letter = open_letter(
            TABLE,
            sender="ceo",
            to=to,
            mission=mission,
            message=message,
            id=id,
            time_ns=self.ceo.now_ns(),
        )
        await publish_surely(self.ceo, letter)

    async def log(self, stream: str = MAIL_STREAM) -> list[Stored]:
        found: list[Stored] = []
        while page := await self.ceo.read(stream, ">", found[-1].seq + 1 if found else 1):
            found += page
        return found

    async def status(self, mission: str) -> m.Status | None:
        found, start = [], 1
        while page := await self.ceo.read(MAIL_STREAM, f"coo.m.{mission}.ceo.status.coo", start):
            found += [msgspec.json.decode(stored.body, type=m.Status) for stored in page]
            start = page[-1].seq + 1
        return max(found, key=lambda status: status.at, default=None)

    async def until(self, mission: str, *states: m.State, timeout_s: float = 60.0) -> m.Status:
        status = None
        try:
            async with asyncio.timeout(timeout_s):
                while status is None or status.state not in states:
                    for process in self.running:
                        if process.task.done():
                            process.task.result()
                    await asyncio.sleep(0.02)
                    status = await self.status(mission)
        except TimeoutError:
            raise AssertionError(f"{mission} is {status}, not {states}") from None
        return status


# -- recorded logs --------------------------------------------------------------------------------------


def write_log(path: Path, streams: dict[str, list[Stored]]) -> None:
    """Write a log as one line a message, compressed, after its header."""
    header = Header(versions={name: role(name).version for name in ROLES})
    lines = [msgspec.json.encode(header).decode()]
    for name, messages in streams.items():
        for one in messages:
            body = base64.b64encode(one.body).decode()
            lines.append(json.dumps([name, one.seq, one.time_ns, one.subject, dict(one.headers), body]))
    path.write_bytes(gzip.compress("\n".join(lines).encode(), 9, mtime=0))


@cache
def read_log(path: Path) -> tuple[Header, dict[str, list[Stored]]]:
    first, *lines = gzip.decompress(path.read_bytes()).decode().splitlines()
    streams: dict[str, list[Stored]] = {name: [] for name in STREAMS}
    for line in lines:
        name, seq, time_ns, subject, headers, body = json.loads(line)
        streams[name].append(Stored(seq, time_ns, subject, headers, base64.b64decode(body)))
    return msgspec.json.decode(first, type=Header), streams


@asynccontextmanager
async def on_memory(log: Path, until: int | None = None) -> AsyncIterator[Connect]:
    """A log in memory, as it was recorded, or as it was after one message of the mail."""
    server = MemoryServer(topology(TABLE, ack_wait_s=ACK_WAIT_S))
    for name, messages in read_log(log)[1].items():
        server.load(name, messages if name != MAIL_STREAM else messages[:until])

    async def attach(principal: str) -> Any:
        return server.connect()

    yield attach
    server.close()


@asynccontextmanager
async def on_server(folder: Path, store: Path | None) -> AsyncIterator[Server]:
    """A private nats-server, empty or on a store as it was recorded."""
    data_dir = DataDir(folder / "company")
    data_dir.create()
    if store:
        with tarfile.open(store) as archive:
            archive.extractall(data_dir.nats, filter="data")
    passwords = data_dir.credentials(principals(TABLE))
    env = {variable(name): password for name, password in passwords.items()}
    async with (
        NatsServer(find(None), CONF, data_dir.nats, data_dir.run, "auto", env) as server,
        connecting(server.url, passwords) as attach,
    ):
        await setup.apply(await attach("admin"), topology(TABLE, ack_wait_s=ACK_WAIT_S))
        yield Server(attach, server.url, passwords)


@asynccontextmanager
async def connecting(url: str, passwords: dict[str, str]) -> AsyncIterator[Connect]:
    """Connect as whoever, and close it all at the end."""
    carriers: list[Any] = []

    async def attach(principal: str) -> Any:
        carriers.append(await connect(url, user=principal, password=passwords[principal]))
        return carriers[-1]

    try:
        yield attach
    finally:
        for carrier in carriers:
            await carrier.close()
