"""Runs a nats-server as a child on one data directory, and stops it with its store intact.

The configuration file is the user's; this module only overrides, by option, what belongs to one run: address,
port, log, pid file, ports file. nats-server refuses a store given both by option and in the file, so the file
either says `store_dir: $COO_NATS_STORE` or nothing (seen with 2.15.1).
"""

from __future__ import annotations

import asyncio
import fcntl
import json
import re
import signal
import socket
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal, Self
from urllib.parse import urlsplit

from actors.host.children import cause, end, send, start_process
from actors.host.logtail import size_bytes, tail
from actors.host.nats.binary import ServerError, find
from actors.host.nats.greeting import greeting
from actors.host.nats.store import broken, writable

__all__ = [
    "NatsServer",
    "PortTaken",
    "ServerError",
    "StartFailed",
    "StillRunning",
    "StoreElsewhere",
    "find",
]

HOST = "127.0.0.1"

STORE_VARIABLE = "COO_NATS_STORE"
"""The variable by which a configuration file takes its `store_dir` from us."""

_POLL_S = 0.01
_SYNC_SETTING = re.compile(
    r"^[^#/\n]*?\bsync_?interval\b[\"']?\s*[:=\s]\s*[\"']?always\b", re.MULTILINE | re.I
)
_STORE_SETTING = re.compile(r"^[^#/\n]*?\bstore_?dir\b[\"']?\s*[:=\s]\s*(\S+)", re.MULTILINE | re.IGNORECASE)


@dataclass(eq=False)
class PortTaken(ServerError):
    """Something listens on the port already, or this user may not."""

    text = "Cannot listen on 127.0.0.1:{port} ({by})"
    advice = (
        "Choose another port with --port, a free one with --port auto, "
        "or use the server that is there with --server nats://127.0.0.1:{port}"
    )
    port: int
    by: str


@dataclass(eq=False)
class StoreElsewhere(ServerError):
    """The configuration file names a store of its own, which no lock would protect."""

    text = "{conf} says store_dir {store_dir}, which no lock would protect"
    advice = "Write `store_dir: $COO_NATS_STORE` instead"
    conf: Path
    store_dir: str


@dataclass(eq=False)
class StillRunning(ServerError):
    """The nats-server of an earlier `coo up` has the store open; two on one store would corrupt it."""

    text = "An earlier nats-server still runs on this store"
    advice = "Stop it: kill {pid}"
    pid: str


@dataclass(eq=False)
class StartFailed(ServerError):
    """nats-server ended, or did not get ready in time; `log_tail` says why in its own words."""

    text = "nats-server {how}"
    advice = "The end of {log}:\n{log_tail}"
    how: str
    log: Path
    log_tail: str


class NatsServer:
    """One nats-server on one store, from entering the context to leaving it.

    `env` is its whole environment: the variables its configuration file refers to. `port` is where it
    listens, once started; with "auto" the server picks a free one and `restart` keeps it. The caller holds
    the data directory's lock: nats-server takes none on its store.

    Raises, on entering and in `restart`:
        PortTaken, StoreElsewhere, StillRunning, StartFailed.
    """

    def __init__(
        self,
        binary: Path,
        conf: Path,
        store: Path,
        run_dir: Path,
        port: int | Literal["auto"],
        env: Mapping[str, str],
        *,
        log: Path | None = None,
        ready_timeout_s: float = 60.0,
        predecessor_timeout_s: float = 10.0,
    ) -> None:
        self.log = log or run_dir / "nats-server.log"
        self.url = ""
        self.version = ""
        self._binary, self._conf, self._store, self._run_dir = binary, conf, store, run_dir
        self._pid_file = run_dir / "nats-server.pid"
        self._port = port
        store_name = json.dumps(str(store), ensure_ascii=False)
        self._env = {
            **env,
            STORE_VARIABLE: store_name,
            "TZ": "UTC",
        }  # its log has no zone: it is UTC anywhere
        self._ready_timeout_s = ready_timeout_s
        self._predecessor_timeout_s = predecessor_timeout_s
        self._process: Process | None = None
        self._logged_bytes = 0

    @property
    def pid(self) -> int:
        return self._running().pid

    @property
    def port(self) -> int:
        return urlsplit(self.url).port or 0

    async def __aenter__(self) -> Self:
        await self.restart()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def wait_exit(self) -> int:
        """Return the exit code when the server has ended, whoever ended it; negative for a signal."""
        return await self._running().wait()

    def log_tail(self) -> str:
        """Return the last lines this run of the server has logged."""
        return tail(self.log, self._logged_bytes)

    async def mended(self, on_broken: Callable[[str], None]) -> None:
        """Wait until this run has stopped writing and could write again, then tell it to end.

        `on_broken` is told why it stopped.
        """
        on_broken(await broken(self._store, self.log, self._logged_bytes))
        await writable(self._store)
        send(self._running(), signal.SIGTERM)

    async def restart(self) -> None:
        """Start the server, on the port it had; a running one is stopped first. Returns when it answers."""
        await self.stop()
        argv = self._argv()
        async with self._store_lock() as lock:
            if self._port != "auto":
                await _check_port(self._port)
            self._remove_traces()
            self._logged_bytes = size_bytes(self.log)
            self._process = await start_process(argv, self._env, self.log, lock)
        try:
            async with asyncio.timeout(self._ready_timeout_s):
                await self._get_ready(self._process)
        except TimeoutError as error:
            await self.stop()
            raise self._start_failed(f"was not ready after {self._ready_timeout_s:g} s") from error
        except BaseException:
            await self.stop()
            raise

    async def stop(self, timeout_s: float = 10.0) -> None:
        """End the server by SIGTERM, after `timeout_s` or when cancelled by SIGKILL. Idempotent.

        Its pid and ports files are gone afterwards, the store stays.
        """
        process = self._process
        if process is None:
            return
        try:
            send(process, signal.SIGTERM)
            with suppress(TimeoutError):
                async with asyncio.timeout(timeout_s):
                    await process.wait()
        finally:
            await end(process)
            self._process = None
            self._remove_traces()

    def _argv(self) -> list[str]:
        port = -1 if self._port == "auto" else self._port
        argv = [str(self._binary), "-c", str(self._conf), "-a", HOST, "-p", str(port), "-l", str(self.log)]
        argv += ["-P", str(self._pid_file), "--ports_file_dir", str(self._run_dir)]
        said = _STORE_SETTING.search(self._conf.read_text())
        if said is None:
            return [*argv, "-sd", str(self._store)]
        if said[1].strip(",;}") != f"${STORE_VARIABLE}":
            raise StoreElsewhere(self._conf, said[1])
        return argv

    async def _get_ready(self, process: Process) -> None:
        while not (url := next((url for pid, url in self._ports() if pid == process.pid), None)):
            await self._poll(process)
        while not (info := await greeting(url)):
            await self._poll(process)
        self.url, self.version = url, str(info["version"])
        self._port = self.port

    async def _poll(self, process: Process) -> None:
        if process.returncode is not None:
            raise self._start_failed(f"ended at once ({cause(process.returncode)})")
        await asyncio.sleep(_POLL_S)

    @asynccontextmanager
    async def _store_lock(self) -> AsyncIterator[BinaryIO]:
        """Hold a file that the server inherits as stdin: its lock lasts as long as either is alive.

        After a `coo up` that was killed this waits for its server, which the kernel told to end.
        """
        with (self._run_dir / "nats-server.lock").open("wb") as file:
            try:
                async with asyncio.timeout(self._predecessor_timeout_s):
                    while not _locked(file):
                        await asyncio.sleep(_POLL_S)
            except TimeoutError as error:
                pid = self._pid_file.read_text().strip() if self._pid_file.exists() else "?"
                raise StillRunning(pid) from error
            yield file

    def _ports(self) -> Iterator[tuple[int, str]]:
        for path in self._run_dir.glob("*_*.ports"):
            with suppress(json.JSONDecodeError):  # it is just being written
                yield int(path.stem.rpartition("_")[2]), json.loads(path.read_bytes())["nats"][0]

    def _remove_traces(self) -> None:
        for path in (self._pid_file, *self._run_dir.glob("*_*.ports")):
            with suppress(OSError):  # who reads them looks for its own pid
                path.unlink(missing_ok=True)

    def _running(self) -> Process:
        if self._process is None:
            raise RuntimeError("nats-server was not started")
        return self._process

    def _start_failed(self, how: str) -> StartFailed:
        return StartFailed(how, self.log, self.log_tail())


def _locked(file: BinaryIO) -> bool:
    with suppress(BlockingIOError):
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    return False


def syncs_always(conf: Path) -> bool:
    """Say whether a configuration file has its server sync every message to disk before the ack."""
    return _SYNC_SETTING.search(conf.read_text()) is not None


async def _check_port(port: int) -> None:
    try:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((HOST, port))
    except OSError as error:
        info = await greeting(f"nats://{HOST}:{port}")
        by = f"nats-server {info['version']} is there" if info else str(error.strerror)
        raise PortTaken(port, by) from error
