"""How long a hold takes while 3,000 others wait for money, beside none, in the same run on the same server.

    python bench/reserves.py --seconds 8

Thirty missions whose caps are held fill the guard's queue up to its bounds; eight processes with money of
their own hold and settle 50 times a second before that and after. Prints both spreads, how many wait, how
many more were refused, and how long it took until all of them had been taken in.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from budget import MODELS, measure, prepare
from budget import _client as hold_and_settle
from budget import _spread as spread

from actors import messages as m
from actors.host.datadir import DataDir
from actors.host.nats.conf import CONF
from actors.host.nats.server import NatsServer, find
from actors.projections.guard import read_books
from actors.roles.budget.waiting import MOST_OF_MISSION
from actors.table import TABLE
from bus.envelope import Cause, open_letter, seal
from bus.jetstream import connect
from bus.loops.publisher import publish_surely
from bus.server.authority import principals, variable
from config.settings import load
from config.split import part

MISSIONS = 30
MORE = 5
"""Reserves a mission beyond those that may wait."""


async def fill(url: str, passwords: dict[str, str]) -> None:
    """Hold the caps of all missions, and let as many reserves wait as may, and a few more."""
    coo = await connect(url, user="coo", password=passwords["coo"])
    for n in range(MISSIONS):
        order = m.Open(cap_microusd=1_000)
        letter = open_letter(
            TABLE, sender="coo", to="budget", mission=f"full-{n}", message=order, id=f"open-{n}", time_ns=0
        )
        await publish_surely(coo, letter)
    await coo.close()
    await asyncio.gather(*(_wait_in_line(url, passwords, who, n) for n, who in enumerate(MODELS)))


async def _wait_in_line(url: str, passwords: dict[str, str], who: str, number: int) -> None:
    carrier = await connect(url, user=who, password=passwords[who])
    for k in range(1 + MOST_OF_MISSION + MORE):
        for n in range(number, MISSIONS, len(MODELS)):
            amount = 1_000 if k == 0 else 10
            order = m.Reserve(attempt=f"w-{k}.1", microusd=amount, timeout_s=86_400, wait_s=86_400)
            letter = seal(
                TABLE,
                sender=MODELS[who],
                version=1,
                to="budget",
                mission=f"full-{n}",
                message=order,
                cause=Cause(who, f"w-{k}", 0, 0, ""),
            )
            await publish_surely(carrier, letter)
    await carrier.close()


async def standing(url: str, passwords: dict[str, str]) -> tuple[int, int]:
    """Return how many wait and how many of the filling missions' reserves were refused, by the log."""
    ceo = await connect(url, user="ceo", password=passwords["ceo"])
    books = await read_books(ceo)
    await ceo.close()
    refused = sum(1 for mission, _ in books._refused if mission.startswith("full-"))
    return len(books.waiting), refused


def timed(guard: int, url: str, passwords: dict[str, str], seconds: float) -> dict[str, str]:
    """Return how long holds take, and the processor time of the guard for each."""
    before = cpu_s(guard)
    took = sorted(measure("guard", url, passwords, seconds, 50))
    each = (cpu_s(guard) - before) / len(took)
    return {**spread(took), "holds": str(len(took)), "guard_cpu_ms": f"{each * 1000:.2f}"}


def cpu_s(pid: int) -> float:
    """Return the processor time that a process has used (Linux)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def compare(url: str, passwords: dict[str, str], seconds: float, folder: str) -> dict[str, Any]:
    config = Path(folder) / "budget.json"
    config.write_bytes(part(load(), "budget", TABLE.needs_of("budget")))
    guard = subprocess.Popen(
        [sys.executable, "-m", "actors.process.main", "budget", "--server", url, "--config", str(config)],
        env={**os.environ, variable("budget"): passwords["budget"]},
        stderr=subprocess.DEVNULL,
    )
    try:
        asyncio.run(hold_and_settle("guard", url, passwords, 0, 1.0, 0))  # it has started
        measure("guard", url, passwords, 2.0, 50)  # and is warm from here on
        none = timed(guard.pid, url, passwords, seconds)
        began = time.perf_counter()
        asyncio.run(fill(url, passwords))
        asyncio.run(hold_and_settle("guard", url, passwords, 0, 0.1, 0))  # answered after all of them
        filled_s = time.perf_counter() - began
        beside = timed(guard.pid, url, passwords, seconds)
        waiting, refused = asyncio.run(standing(url, passwords))
    finally:
        guard.terminate()
        guard.wait()
    return {
        "waiting": waiting,
        "refused": refused,
        "taken_in_s": f"{filled_s:.1f}",
        "with_none": none,
        "with_all_of_them": beside,
    }


async def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--seconds", type=float, default=8.0)
    seconds = parser.parse_args().seconds
    with tempfile.TemporaryDirectory(prefix="coo-bench-") as folder:
        data_dir = DataDir(Path(folder) / "company")
        data_dir.create()
        passwords = data_dir.credentials(principals(TABLE))
        env = {variable(name): password for name, password in passwords.items()}
        async with NatsServer(find(None), CONF, data_dir.nats, data_dir.run, "auto", env) as server:
            await prepare(server.url, passwords)
            found = await asyncio.to_thread(compare, server.url, passwords, seconds, folder)
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    multiprocessing.set_start_method("spawn")
    asyncio.run(main())
