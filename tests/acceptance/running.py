"""A company that really runs: `coo up` as a process, and the commands that are typed beside it.

with running_company(tmp_path, env={"COO_SANDBOX__BACKEND": "bubblewrap"}) as company:
    company.coo("mission", "Write fizzbuzz", "--budget", "1.00", "--json")
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Coroutine, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import psutil

from actors.table import TABLE
from bus.jetstream import connect

T = TypeVar("T")

ACTORS = ("coo", "engineer", "qa", "budget", "approval", "sandbox", "clock")
COO = (sys.executable, "-m", "actors.cli.app")
TIMEOUT_S = 60.0

SIMPLE = {
    "COO_SANDBOX__BACKEND": "bubblewrap",
    "COO_BUS__ACK_WAIT_S": "2",
}
"""Settings of a company for a test: without Docker, and mail of a dead process soon comes back."""


def until(condition: Callable[[], T], *, timeout_s: float = TIMEOUT_S, what: str = "") -> T:
    """Wait until a condition holds and return what it gave; fail when it takes too long."""
    end = time.monotonic() + timeout_s
    while not (given := condition()):
        assert time.monotonic() < end, f"not within {timeout_s:g} s: {what or condition}"
        time.sleep(0.02)
    return given


def in_loop(work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run asynchronous code in an event loop of its own, also from within another one."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(lambda: asyncio.run(work())).result()


def environment(home: Path, env: Mapping[str, str] = {}) -> dict[str, str]:
    """Return the whole environment of a command: nothing of this machine's settings, a home of its own."""
    kept = {name: value for name, value in os.environ.items() if name in ("PATH", "LANG", "TMPDIR", "TZ")}
    return {**kept, "HOME": str(home), **env}


def lives(pid: int) -> bool:
    """Say whether a process runs; a zombie does not."""
    try:
        return bool(psutil.Process(pid).status() not in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD))
    except psutil.NoSuchProcess:
        return False


class Company:
    """One company on a data directory of its own, on a free port.

    `env` is added to a bare environment, for `coo up` and for every command; SIMPLE is part of it unless
    `simple` is off. What `coo up` says is in `events` (stdout, JSON) and `said` (stderr).
    """

    def __init__(self, folder: Path, env: Mapping[str, str] = {}, *, simple: bool = True) -> None:
        self.data_dir = folder / "company"
        home = folder / "home"
        home.mkdir(parents=True, exist_ok=True)
        cache = {"COO_SANDBOX__RUNTIME_DIR": _shared_runtime()} if simple else {}
        own = {"COO_DATA_DIR": str(self.data_dir), **cache, **(SIMPLE if simple else {}), **env}
        self.env = environment(home, own)
        self.events: list[dict[str, Any]] = []
        self.said: list[str] = []
        self.program: tuple[str, ...] = COO
        self.process: subprocess.Popen[str] | None = None
        self._readers: list[threading.Thread] = []

    # -- running ------------------------------------------------------------------------------------

    def start(self, *args: str, port: str = "auto") -> dict[str, Any]:
        """Type `coo up --json`, wait until it is ready, and return the line that says so."""
        self.begin(*args, port=port)
        return until(self._ready_or_dead, what="coo up is ready")

    def begin(self, *args: str, port: str = "auto") -> None:
        """Type `coo up --json` and do not wait."""
        self.events, self.said = [], []
        self.process = subprocess.Popen(
            [*self.program, "up", "--json", "--port", port, *args],
            env=self.env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self._readers = [
            threading.Thread(target=self._read_events, args=[self.process.stdout]),
            threading.Thread(target=self._read_words, args=[self.process.stderr]),
        ]
        for reader in self._readers:
            reader.start()

    def stop(self, number: signal.Signals = signal.SIGINT) -> int:
        """Send `coo up` a signal, wait until it has ended, and return its exit code."""
        if self.process is None:
            return 0
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.ended()

    def ended(self) -> int:
        """Wait until `coo up` ends by itself, and return its exit code; its output is whole then."""
        assert self.process is not None
        code = self.process.wait(TIMEOUT_S)
        for reader in self._readers:
            reader.join(TIMEOUT_S)
        self.process = None
        return code

    def close(self) -> None:
        """Stop `coo up` if it runs, by force if need be, and whatever it left behind."""
        if self.process is None:
            return
        left = self.family()
        try:
            self.stop()
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.ended()
        for process in left:
            if process.is_running():
                process.kill()

    # -- looking ------------------------------------------------------------------------------------

    @property
    def ready(self) -> dict[str, Any]:
        """What the newest `coo up` said when it was ready."""
        return next(event for event in self.events if event["event"] == "ready")

    @property
    def url(self) -> str:
        return str(self.ready["url"])

    @property
    def run(self) -> dict[str, Any]:
        """What `run.json` says now: pids change when a process is started again."""
        found: dict[str, Any] = json.loads((self.data_dir / "run" / "run.json").read_bytes())
        return found

    @property
    def pids(self) -> dict[str, int]:
        """Return the pid of every actor, and of `nats-server`, as they are now."""
        run = self.run
        return {**run["actors"], "nats-server": run["server_pid"]}

    @property
    def credentials(self) -> dict[str, str]:
        """Return everybody's password."""
        found: dict[str, str] = json.loads((self.data_dir / "run" / "credentials.json").read_bytes())
        return found

    def family(self) -> list[psutil.Process]:
        """Return every process below `coo up` that lives now."""
        assert self.process is not None
        try:
            return list(psutil.Process(self.process.pid).children(recursive=True))
        except psutil.NoSuchProcess:
            return []

    def children(self) -> list[psutil.Process]:
        """Return what `coo up` itself started and lives now: the sandbox's actor has a helper of its own."""
        assert self.process is not None
        try:
            return list(psutil.Process(self.process.pid).children())
        except psutil.NoSuchProcess:
            return []

    def happened(self, kind: str, name: str) -> list[dict[str, Any]]:
        """Return the events of one kind of one process."""
        return [event for event in self.events if event["event"] == kind and event.get("name") == name]

    def waiting(self) -> dict[str, int]:
        """Return how many requests for mail are open at each mailbox: none means that nobody serves it."""

        async def ask() -> dict[str, int]:
            admin = await connect(self.run["url"], user="admin", password=self.credentials["admin"])
            try:
                names = [mailbox.name for mailbox in TABLE.mailboxes]
                infos = {name: await admin.api(f"$JS.API.CONSUMER.INFO.COO.{name}", {}) for name in names}
                return {name: info.get("num_waiting", 0) for name, info in infos.items()}
            finally:
                await admin.close()

        return in_loop(ask)

    def until_serving(self) -> None:
        """Wait until every mailbox is served: processes that were just started again need a second."""
        until(lambda: all(self.waiting().values()), what="every mailbox is served")

    # -- doing --------------------------------------------------------------------------------------

    def coo(
        self, *args: str, env: Mapping[str, str] = {}, timeout_s: float = TIMEOUT_S, text: str | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Type a command on this company and return how it ended; `text` is typed into it."""
        return subprocess.run(
            [*self.program, *args],
            env={**self.env, **env},
            input=text or "",
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )

    def json(self, *args: str, **options: Any) -> Any:
        """Type a command with --json, which must succeed, and return what it printed."""
        done = self.coo(*args, "--json", **options)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def kill(self, name: str, number: signal.Signals = signal.SIGKILL) -> int:
        """Kill an actor or `nats-server`, once it runs, and return the pid it had."""
        pid = until(lambda: self.pids.get(name), what=f"{name} runs")
        assert pid is not None
        os.kill(pid, number)
        return pid

    def until_restarted(self, name: str, pid: int) -> int:
        """Wait until a process that had this pid runs again, and return its new pid."""
        return until(lambda: self.pids.get(name, pid) not in (pid, None) and self.pids[name], what=name)

    # -- within -------------------------------------------------------------------------------------

    def _read_events(self, stream: Any) -> None:
        with stream:
            self.events.extend(json.loads(line) for line in stream)

    def _read_words(self, stream: Any) -> None:
        with stream:
            self.said.extend(line.rstrip("\n") for line in stream)

    def _ready_or_dead(self) -> dict[str, Any] | None:
        assert self.process is not None
        ready = next((event for event in self.events if event["event"] == "ready"), None)
        if ready is None and (code := self.process.poll()) is not None:
            self.ended()
            raise AssertionError(f"coo up ended with {code}: {' / '.join(self.said)}")
        return ready


def _shared_runtime() -> str:
    """Return one folder for the sandbox's root file system, so that not every test copies it."""
    folder = Path("/var/cache/coo-sandbox" if os.geteuid() == 0 else "~/.cache/coo-sandbox")
    return str(folder.expanduser())


@contextmanager
def running_company(
    folder: Path, *args: str, env: Mapping[str, str] = {}, simple: bool = True
) -> Iterator[Company]:
    """Run a company in a folder for the length of a block; `args` are given to `coo up`."""
    company = Company(folder, env, simple=simple)
    try:
        company.start(*args)
        yield company
    finally:
        company.close()
