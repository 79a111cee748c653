"""How long starts take, each figure beside a baseline of the same run: `make bench`.

Medians of a few runs on a machine that does nothing else. A busy machine shows in the baselines.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import secrets
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

from actors import messages as m
from actors.desk.mission import Order, Wish, publish, resolve
from actors.host.datadir import DataDir
from actors.host.nats.binary import configuration_file, find
from actors.host.nats.server import NatsServer
from actors.projections.record import Record
from actors.table import TABLE
from bus.envelope import Outgoing, Stored, open_mail
from bus.jetstream import JetStreamCarrier, connect
from bus.reading import pages
from bus.server import setup
from bus.server.authority import principals, variable
from bus.server.topology import topology
from bus.subjects import MAIL_STREAM
from config.settings import load
from config.split import part

PYTHON = [sys.executable, "-P"]
ROUNDS = 7
IDLE_S = 10.0
_BARE = (
    "import asyncio, sys, nats\n"
    "async def main():\n"
    "    nc = await nats.connect(sys.argv[1], user='ceo', password=sys.argv[2], inbox_prefix=b'_INBOX_ceo')\n"
    "    await nc.publish('coo.m.bench.coo.control.ceo', b'{}', headers={'Nats-Msg-Id': sys.argv[3]})\n"
    "    await nc.flush()\n"
    "    await nc.close()\n"
    "asyncio.run(main())\n"
)


def main() -> None:
    """Measure, print a table, and write JSON if asked."""
    parser = argparse.ArgumentParser(description="How long starts take.")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--json", type=Path, help="write the figures there, too")
    options = parser.parse_args()
    found: list[tuple[str, str, str, str]] = []
    with tempfile.TemporaryDirectory(prefix="coo-bench-") as folder:
        found += helps(options.rounds)
        found += asyncio.run(actors_start(Path(folder), options.rounds))
        found += asyncio.run(companies(options.rounds))
    for row in [("", "measured", "target", "baseline"), *found]:
        print(f"{row[0]:<38} {row[1]:>10}  {row[2]:<10}  {row[3]}")
    if options.json:
        options.json.write_text(json.dumps([dict(zip(_FIELDS, row, strict=True)) for row in found], indent=2))


_FIELDS = ("what", "measured", "target", "baseline")


def median_ms(work: Callable[[], object], rounds: int) -> float:
    """Return the median of some runs after one that is not counted."""
    work()
    taken = []
    for _ in range(rounds):
        began_s = time.perf_counter()
        work()
        taken.append((time.perf_counter() - began_s) * 1000)
    return statistics.median(taken)


def helps(rounds: int) -> list[tuple[str, str, str, str]]:
    """Time `coo --help` beside a Python that does nothing."""
    quiet = {"check": True, "stdout": subprocess.DEVNULL}
    coo = [
        *PYTHON,
        "-c",
        "import sys; sys.argv[0]='coo'; from actors.cli.entry import main; main()",
        "--help",
    ]
    bare = median_ms(lambda: subprocess.run([*PYTHON, "-c", "pass"], **quiet), rounds)
    took = median_ms(lambda: subprocess.run(coo, **quiet), rounds)
    return [("coo --help", f"{took:.0f} ms", "< 250 ms", f"{bare:.0f} ms: python -c pass")]


# -- an actor -------------------------------------------------------------------------------------------


@asynccontextmanager
async def server(folder: Path) -> AsyncIterator[tuple[NatsServer, dict[str, str]]]:
    """Run a nats-server with the company's accounts and streams."""
    data = DataDir(folder / "data")
    data.create()
    passwords = data.credentials(principals(TABLE))
    env = {variable(name): secret for name, secret in passwords.items()}
    async with NatsServer(find(None), configuration_file(), data.nats, data.run, "auto", env) as running:
        admin = await connect(running.url, user="admin", password=passwords["admin"])
        await setup.apply(admin, topology(TABLE))
        await admin.close()
        yield running, passwords


async def actors_start(folder: Path, rounds: int) -> list[tuple[str, str, str, str]]:
    """Time an actor from its start to its first message, beside a bare nats-py program that sends one."""
    async with server(folder) as (running, passwords):
        ceo = await connect(running.url, user="ceo", password=passwords["ceo"])
        bare, actor = [], []
        for _ in range(rounds + 1):
            argv = [*PYTHON, "-c", _BARE, running.url, passwords["ceo"], secrets.token_hex(8)]
            bare.append(await _until_message(ceo, argv, {}, "coo.m.bench.coo.control.ceo", b""))
            order = _order()
            await publish(ceo, order)
            argv = [*PYTHON, "-m", "actors.process.main", "coo", "--server", running.url, "--config", "-"]
            env = {variable("coo"): passwords["coo"]}
            subject = f"coo.m.{order.name}.budget.open.coo"
            actor.append(
                await _until_message(ceo, argv, env, subject, part(load(), "coo", TABLE.needs_of("coo")))
            )
        await ceo.close()
    took, base = statistics.median(actor[1:]), statistics.median(bare[1:])
    line = f"{base:.0f} ms: a bare nats-py program that sends one"
    return [("actor start to first message", f"{took:.0f} ms", "<= 180 ms", line)]


def _order() -> Order:
    return resolve(Wish(goal="Write fizzbuzz", budget="1.00", approve="none", model="scripted"))


async def _until_message(
    ceo: JetStreamCarrier, argv: list[str], env: dict[str, str], subject: str, stdin: bytes
) -> float:
    last = await ceo.last(MAIL_STREAM, subject)
    before = last.seq if last else 0
    began_s = time.perf_counter()
    process = subprocess.Popen(  # noqa: ASYNC220 - nothing else runs in this loop
        argv, env={**os.environ, **env}, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    assert process.stdin is not None
    process.stdin.write(stdin)
    process.stdin.close()
    try:
        while (found := await ceo.last(MAIL_STREAM, subject)) is None or found.seq <= before:
            await asyncio.sleep(0.002)
        return (time.perf_counter() - began_s) * 1000
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()


# -- a company ------------------------------------------------------------------------------------------


@contextmanager
def company() -> Iterator[tuple[dict[str, Any], float]]:
    """Run `coo up --ephemeral`; give what it said when ready, and the milliseconds until then."""
    began_s = time.perf_counter()
    argv = [*PYTHON, "-m", "actors.cli.app", "up", "--ephemeral", "--port", "auto", "--json"]
    process = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert process.stdout is not None
    try:
        yield json.loads(process.stdout.readline()), (time.perf_counter() - began_s) * 1000
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate()


async def companies(rounds: int) -> list[tuple[str, str, str, str]]:
    """Time the start of the company, a mission in it, and what it needs when it does nothing."""
    ready: list[float] = []
    for _ in range(max(2, rounds // 2)):
        with company() as (_, taken_ms):
            ready.append(taken_ms)
    with tempfile.TemporaryDirectory(prefix="coo-bench-") as folder:
        began_s = time.perf_counter()
        async with server(Path(folder)) as (running, _passwords):
            server_ms = (time.perf_counter() - began_s) * 1000
            server_idle = await _idle([running.pid])
    with company() as (told, _taken):
        overhead = await _missions(told, rounds)
        pids = [told["pid"], told["server"]["pid"], *told["actors"].values()]
        idle = await _idle(pids)
    return [
        (
            "company ready",
            f"{statistics.median(ready):.0f} ms",
            "< 3000 ms",
            f"{server_ms:.0f} ms: nats-server and its streams",
        ),
        overhead,
        ("company idle", f"{idle:.1f} %", "< 2 %", f"{server_idle:.1f} %: nats-server alone"),
    ]


async def _idle(pids: list[int]) -> float:
    """Return how much of one core these processes need, in percent, over some seconds."""
    await asyncio.sleep(2)
    before = sum(map(_cpu_ticks, pids))
    await asyncio.sleep(IDLE_S)
    return (sum(map(_cpu_ticks, pids)) - before) / os.sysconf("SC_CLK_TCK") / IDLE_S * 100


def _cpu_ticks(pid: int) -> int:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


async def _missions(told: dict[str, Any], rounds: int) -> tuple[str, str, str, str]:
    """Run missions, and return what they took beyond what the sandbox did, and a bare publisher's time."""
    password = DataDir(Path(told["data_dir"])).stored_credentials()["ceo"]
    ceo = await connect(told["url"], user="ceo", password=password)
    beyond, bare = [], []
    for _ in range(rounds + 1):
        order = _order()
        await publish(ceo, order)
        log = await _over(ceo, order.name)
        beyond.append(_without_sandbox_ms(log))
        bare.append(await _published_ms(ceo, log))
    await ceo.close()
    base = f"{statistics.median(bare[1:]):.0f} ms: its {len(log)} messages published one after the other"
    return ("mission without its sandbox time", f"{statistics.median(beyond[1:]):.0f} ms", "< 150 ms", base)


async def _over(ceo: JetStreamCarrier, name: str) -> list[Stored]:
    while True:
        record, log = Record(name), []
        async for page in pages(ceo, MAIL_STREAM, f"coo.m.{name}.>"):
            for stored in page:
                log.append(stored)
                record.add(stored)
        if record.rests:
            assert record.state == "completed", record.state
            return log
        await asyncio.sleep(0.05)


def _without_sandbox_ms(log: list[Stored]) -> float:
    """Return the time from the mission to its last status in which no program was asked for."""
    open_runs, since_ns, outside_ns = 0, log[0].time_ns, 0
    last_ns = max(stored.time_ns for stored in log if ".ceo.status." in stored.subject)
    for stored in sorted(log, key=lambda stored: stored.seq):
        match open_mail(TABLE, stored, stored.time_ns).message:
            case m.Execute():
                outside_ns += stored.time_ns - since_ns if open_runs == 0 else 0
                open_runs += 1
            case m.Outcome():
                open_runs -= 1
                since_ns = stored.time_ns
            case _:
                pass
    return (outside_ns + last_ns - since_ns) / 1e6


async def _published_ms(ceo: JetStreamCarrier, log: list[Stored]) -> float:
    began_s = time.perf_counter()
    for stored in log:
        headers = {"Nats-Msg-Id": secrets.token_hex(8)}
        await ceo.publish(Outgoing("coo.m.bench.coo.control.ceo", headers, stored.body))
    return (time.perf_counter() - began_s) * 1000


if __name__ == "__main__":
    main()
