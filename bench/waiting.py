"""The guard's latency beside many missions that wait: `python bench/waiting.py --missions 500`.

Missions whose holds are settled and that wait for the CEO stay in the guard's books. Measured, in turns on
two servers with a guard each, is how long a hold takes at `--rate` a second beside 5 of them and beside
`--missions`, what processor time the guard takes for one, and how soon a killed guard answers again. The
ratios say whether what waits costs those that work.
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
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import psutil
from budget import measure, prepare

from actors import messages as m
from actors.host.datadir import DataDir
from actors.host.nats.conf import CONF
from actors.host.nats.server import NatsServer, find
from actors.table import TABLE
from bus import subjects
from bus.envelope import open_letter
from bus.jetstream import JetStreamCarrier, connect
from bus.server.authority import principals, variable
from bus.subjects import MAIL_STREAM
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
        [sys.executable, "-m", "actors.process.main", "budget", "--server", url, "--config", str(config)],
        env={**os.environ, variable("budget"): passwords["budget"]},
        stderr=subprocess.DEVNULL,
    )


async def _answers(url: str, passwords: dict[str, str], name: str) -> None:
    coo = await connect(url, user="coo", password=passwords["coo"])
    await _say(coo, "coo", name, m.Open(cap_microusd=10**9), name)
    while await coo.last(MAIL_STREAM, subjects.mail(name, "coo", "opened", "budget")) is None:
        await asyncio.sleep(0.005)
    await coo.close()


@dataclass
class Side:
    """One server with one guard, beside which some missions wait."""

    missions: int
    url: str
    passwords: dict[str, str]
    config: Path
    guard: Any = None
    took: list[float] = field(default_factory=list)
    restarts: list[float] = field(default_factory=list)
    processor_s: float = 0.0

    def begin(self) -> None:
        self.guard = guard(self.url, self.passwords, self.config)
        asyncio.run(wait_beside(self.url, self.passwords, [f"waiting-{n}" for n in range(self.missions)]))
        measure("guard", self.url, self.passwords, 2.0, 20)

    def hold(self, seconds: float, rate: float) -> None:
        before_s = _processor_s(self.guard.pid)
        self.took += measure("guard", self.url, self.passwords, seconds, rate)
        self.processor_s += _processor_s(self.guard.pid) - before_s

    def restart(self, name: str) -> None:
        """Kill the guard, and take the seconds to the next one's first answer."""
        self.end()
        began = time.perf_counter()
        self.guard = guard(self.url, self.passwords, self.config)
        asyncio.run(_answers(self.url, self.passwords, name))
        self.restarts.append(time.perf_counter() - began)

    def end(self) -> None:
        if self.guard is not None:
            self.guard.send_signal(signal.SIGKILL)
            self.guard.wait()

    def found(self) -> dict[str, float]:
        took = sorted(self.took)
        return {
            "p50_ms": round(statistics.median(took) * 1000, 1),
            "p99_ms": round(took[int(len(took) * 0.99)] * 1000, 1),
            "processor_ms": round(1000 * self.processor_s / len(took), 2),
            "restart_s": round(statistics.median(self.restarts), 3),
        }


def compare(sides: list[Side], seconds: float, rate: float) -> dict[str, Any]:
    """Measure both sides in turns, so that whatever else the machine does meets both."""
    try:
        for side in sides:
            side.begin()
        for _ in range(_ROUNDS):
            for side in sides:
                side.hold(seconds / _ROUNDS, rate)
        for n in range(_ROUNDS):
            for side in sides:
                side.restart(f"again-{n}")
    finally:
        for side in sides:
            side.end()
    few, many = (side.found() for side in sides)
    ratio = {name: round(many[name] / few[name], 2) for name in few}
    return {f"beside_{sides[0].missions}": few, f"beside_{sides[1].missions}": many, "ratio": ratio}


def _processor_s(pid: int) -> float:
    times = psutil.Process(pid).cpu_times()
    return float(times.user + times.system)


async def _side(folder: Path, missions: int, stack: AsyncExitStack) -> Side:
    data_dir = DataDir(folder / "company")
    data_dir.create()
    passwords = data_dir.credentials(principals(TABLE))
    env = {variable(name): password for name, password in passwords.items()}
    starting = NatsServer(find(None), CONF, data_dir.nats, data_dir.run, "auto", env)
    server = await stack.enter_async_context(starting)
    await prepare(server.url, passwords)
    config = folder / "budget.json"
    config.write_bytes(part(load(), "budget", TABLE.needs_of("budget")))
    return Side(missions, server.url, passwords, config)


async def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--missions", type=int, default=500)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--rate", type=float, default=50.0, help="holds a second of all callers")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="coo-bench-") as folder:
        async with AsyncExitStack() as stack:
            sides = []
            for missions in (FEW, options.missions):
                own = Path(folder) / str(missions)
                own.mkdir()
                sides.append(await _side(own, missions, stack))
            found = await asyncio.to_thread(compare, sides, options.seconds, options.rate)
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    multiprocessing.set_start_method("spawn")
    asyncio.run(main())
