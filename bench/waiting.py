"""The guard's latency beside many missions that wait: `python bench/waiting.py --missions 500`.

Missions whose holds are settled and that wait for the CEO stay in the guard's books. Measured, on one server
with one guard, is how long a hold takes at `--rate` a second beside 5 of them and beside `--missions`, what
processor time the guard takes for one, and how soon a killed guard answers again. The ratios say whether what
waits costs those that work.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import msgspec
import psutil  # type: ignore[import-untyped]
from budget import measure, prepare

from actors import messages as m
from actors.datadir import DataDir
from actors.reference import CONF
from actors.server import NatsServer, find
from actors.table import TABLE
from bus import setup, subjects
from bus.authority import principals, variable
from bus.envelope import open_letter
from bus.jetstream import JetStreamCarrier, connect
from bus.subjects import MAIL_STREAM
from bus.topology import topology
from config.settings import load
from config.split import part

FEW = 5
HOLDS = 12
"""Calls that a mission has paid for before it waits."""

_AT_ONCE = 50
_ROUNDS = 5


async def wait_beside(url: str, passwords: dict[str, str], names: list[str]) -> None:
    """Let missions come to the guard that open, spend, and then wait; return when it has decided them all."""
    coo, engineer = [await connect(url, user=name, password=passwords[name]) for name in ("coo", "engineer")]
    for start in range(0, len(names), _AT_ONCE):
        some = names[start : start + _AT_ONCE]
        for n, message in enumerate(_life()):
            principal, sender = (coo, "coo") if n == 0 else (engineer, "model-engineer")
            await asyncio.gather(*(_say(principal, sender, name, message, f"{name}-{n}") for name in some))
    while await coo.last(MAIL_STREAM, subjects.mail(names[-1], "coo", "opened", "budget")) is None:
        await asyncio.sleep(0.02)
    await coo.close()
    await engineer.close()


def _life() -> list[msgspec.Struct]:
    life: list[msgspec.Struct] = [m.Open(cap_microusd=10**9)]
    for n in range(HOLDS):
        attempt = f"{n:0>32}.1"
        life.append(m.Reserve(attempt=attempt, microusd=1_000, timeout_s=60))
        life.append(m.Sent(attempt=attempt, nonce="bench", microusd=1_000))
        life.append(m.Settle(attempt=attempt, microusd=500))
    return life


async def _say(
    carrier: JetStreamCarrier, sender: str, mission: str, message: msgspec.Struct, id: str
) -> None:
    await carrier.publish(
        open_letter(TABLE, sender=sender, to="budget", mission=mission, message=message, id=id, time_ns=0)
    )


def guard(url: str, passwords: dict[str, str], config: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "actors.process", "budget", "--server", url, "--config", str(config)],
        env={**os.environ, variable("budget"): passwords["budget"]},
        stderr=subprocess.DEVNULL,
    )


async def _answers(url: str, passwords: dict[str, str], name: str) -> None:
    coo = await connect(url, user="coo", password=passwords["coo"])
    await _say(coo, "coo", name, m.Open(cap_microusd=10**9), name)
    while await coo.last(MAIL_STREAM, subjects.mail(name, "coo", "opened", "budget")) is None:
        await asyncio.sleep(0.005)
    await coo.close()


def restarts(
    url: str, passwords: dict[str, str], config: Path, running: Any, label: str
) -> tuple[Any, float]:
    """Kill the guard a few times; return the last one, and the median of seconds to an answer."""
    took = []
    for n in range(_ROUNDS):
        running.send_signal(signal.SIGKILL)
        running.wait()
        began = time.perf_counter()
        running = guard(url, passwords, config)
        asyncio.run(_answers(url, passwords, f"{label}-{n}"))
        took.append(time.perf_counter() - began)
    return running, statistics.median(took)


def compare(url: str, passwords: dict[str, str], folder: str, options: argparse.Namespace) -> dict[str, Any]:
    missions, seconds, rate = options.missions, options.seconds, options.rate
    config = Path(folder) / "budget.json"
    config.write_bytes(part(load(), "budget"))
    running: Any = guard(url, passwords, config)
    found: dict[str, Any] = {"missions": missions}
    took: dict[int, list[float]] = {}
    try:
        measure("guard", url, passwords, 2.0, rate)
        for number in (FEW, missions):
            names = [f"waiting-{number}-{n}" for n in range(number)]
            asyncio.run(wait_beside(url, passwords, names))
            before_s = _processor_s(running.pid)
            took[number] = sorted(measure("guard", url, passwords, seconds, rate))
            each_ms = round(1000 * (_processor_s(running.pid) - before_s) / len(took[number]), 2)
            running, again_s = restarts(url, passwords, config, running, f"again-{number}")
            more = {"processor_ms": each_ms, "restart_s": round(again_s, 3)}
            found[f"beside_{number}"] = {**_spread(took[number]), **more}
    finally:
        running.terminate()
        running.wait()
    few, many = (found[f"beside_{number}"] for number in (FEW, missions))
    return {**found, "ratio": {name: round(many[name] / few[name], 2) for name in few}}


def _processor_s(pid: int) -> float:
    times = psutil.Process(pid).cpu_times()
    return float(times.user + times.system)


def _spread(took: list[float]) -> dict[str, float]:
    p99 = took[int(len(took) * 0.99)]
    return {"p50_ms": round(statistics.median(took) * 1000, 1), "p99_ms": round(p99 * 1000, 1)}


async def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--missions", type=int, default=500)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--rate", type=float, default=50.0, help="holds a second of all callers")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="coo-bench-") as folder:
        data_dir = DataDir(Path(folder) / "company")
        data_dir.create()
        passwords = data_dir.credentials(principals(TABLE))
        env = {variable(name): password for name, password in passwords.items()}
        async with NatsServer(find(None), CONF, data_dir.nats, data_dir.run, "auto", env) as server:
            admin = await connect(server.url, user="admin", password=passwords["admin"])
            await setup.apply(admin, topology(TABLE))
            await admin.close()
            await prepare(server.url, passwords)
            found = await asyncio.to_thread(compare, server.url, passwords, folder, options)
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    multiprocessing.set_start_method("spawn")
    asyncio.run(main())
