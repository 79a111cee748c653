"""How soon a killed guard answers again, behind a long log: `python bench/restart.py`.

A real guard decides `--entries` messages on a real nats-server (a hold is three: reserve, sent, settle) and
is killed. Measured is from the start of the next process to its first answer in the log, and, beside it, the
same on a log that has nothing but that one question.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import msgspec

from actors import messages as m
from actors.host.datadir import DataDir
from actors.host.nats.conf import CONF
from actors.host.nats.server import NatsServer, find
from actors.table import TABLE
from bus import subjects
from bus.envelope import Stored, open_letter
from bus.jetstream import JetStreamCarrier, connect
from bus.server import setup
from bus.server.authority import principals, variable
from bus.server.topology import topology
from bus.subjects import COMPANY, MAIL_STREAM
from config.settings import load
from config.split import part

ROUNDS = 5
HOLDS = 24
"""Holds of a mission: with its opening and closing, 74 messages."""

_AT_ONCE = 40
"""Missions that are under way at a time."""


class Bench:
    """One company with only a guard."""

    def __init__(self, url: str, passwords: dict[str, str], folder: Path) -> None:
        self._url, self._passwords = url, passwords
        self._config = folder / "budget.json"
        self._config.write_bytes(part(load(), "budget", TABLE.needs_of("budget")))
        self._carriers: dict[str, JetStreamCarrier] = {}
        self._ids = 0

    async def open(self) -> None:
        for name in ("admin", "ceo", "coo", "engineer"):
            self._carriers[name] = await connect(self._url, user=name, password=self._passwords[name])
        await setup.apply(self._carriers["admin"], topology(TABLE))

    async def close(self) -> None:
        for carrier in self._carriers.values():
            await carrier.close()

    async def guard(self) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "actors.process.main", "budget"),
            *("--server", self._url, "--config", str(self._config)),
            env={**os.environ, variable("budget"): self._passwords["budget"]},
            stderr=asyncio.subprocess.DEVNULL,
        )

    async def say(self, principal: str, sender: str, mission: str, message: msgspec.Struct) -> int:
        self._ids += 1
        letter = open_letter(
            TABLE,
            sender=sender,
            to="budget",
            mission=mission,
            message=message,
            id=f"bench-{self._ids}",
            time_ns=0,
        )
        return (await self._carriers[principal].publish(letter)).seq

    async def fill(self, entries: int) -> int:
        """Write the messages of as many missions as it takes, and return the last one's sequence."""
        limits = m.Limits(day_microusd=10**14, month_microusd=10**14, mission_microusd=10**9)
        await self.say("ceo", "ceo", COMPANY, limits)
        done = last = 0
        while done < entries:
            missions = [f"fill-{done}-{n}" for n in range(_AT_ONCE)]
            for message in self._life():
                last = max(await asyncio.gather(*(self._write(name, message) for name in missions)))
                done += len(missions)
        return last

    def _life(self) -> list[msgspec.Struct]:
        life: list[msgspec.Struct] = [m.Open(cap_microusd=10**9)]
        for n in range(HOLDS):
            life.append(m.Reserve(attempt=f"{n}.1", microusd=1_000, timeout_s=60))
            life.append(m.Sent(attempt=f"{n}.1", nonce="bench", microusd=1_000))
            life.append(m.Settle(attempt=f"{n}.1", microusd=500))
        return [*life, m.Close(state="completed")]

    async def _write(self, mission: str, message: msgspec.Struct) -> int:
        if isinstance(message, m.Open | m.Close):
            return await self.say("coo", "coo", mission, message)
        return await self.say("engineer", "model-engineer", mission, message)

    async def answered(self, mission: str) -> None:
        """Wait until the guard has said that a mission's account is open."""
        while await self.last(subjects.mail(mission, "coo", "opened", "budget")) is None:
            await asyncio.sleep(0.005)

    async def last(self, subject: str) -> Stored | None:
        return await self._carriers["ceo"].last(MAIL_STREAM, subject)

    async def restart(self, name: str) -> float:
        """Start a guard with a question waiting, and return the seconds to its answer; then kill it."""
        await self.say("coo", "coo", name, m.Open(cap_microusd=10**9))
        began = time.perf_counter()
        guard = await self.guard()
        await asyncio.wait_for(self.answered(name), 60)
        took = time.perf_counter() - began
        guard.send_signal(signal.SIGKILL)
        await guard.wait()
        return took


async def measure(entries: int, rounds: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="coo-bench-") as scratch:
        data_dir = DataDir(Path(scratch) / "company")
        data_dir.create()
        passwords = data_dir.credentials(principals(TABLE))
        env = {variable(name): password for name, password in passwords.items()}
        async with NatsServer(find(None), CONF, data_dir.nats, data_dir.run, "auto", env) as server:
            bench = Bench(server.url, passwords, Path(scratch))
            await bench.open()
            empty = [await bench.restart(f"empty-{n}") for n in range(rounds)]
            guard, began = await bench.guard(), time.perf_counter()
            await bench.fill(entries)
            await bench.say("coo", "coo", "filled", m.Open(cap_microusd=10**9))
            await bench.answered("filled")
            filled_s = time.perf_counter() - began
            guard.send_signal(signal.SIGKILL)
            await guard.wait()
            full = [await bench.restart(f"full-{n}") for n in range(rounds)]
            newest = await bench.last(subjects.mail(f"full-{rounds - 1}", "coo", "opened", "budget"))
            await bench.close()
    return {
        "messages": entries,
        "mails_per_s": round(entries / filled_s),
        "log_messages": newest.seq if newest else 0,
        "empty_s": round(statistics.median(empty), 3),
        "restart_s": round(statistics.median(full), 3),
        "slowest_restart_s": round(max(full), 3),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--entries", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    options = parser.parse_args()
    found = asyncio.run(measure(options.entries, options.rounds))
    print(json.dumps(found, indent=2))
    return 0 if found["restart_s"] < 1.0 else 1


if __name__ == "__main__":
    sys.exit(main())
