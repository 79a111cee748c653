"""The guard against a hand-written one, in the same run on the same server.

    python bench/budget.py --seconds 8

Eight processes hold and settle as fast as they are answered: with the guard through the log, then with a
single-writer guard of the plainest kind, which keeps its balance in memory, writes each change to a stream
on the same server, and answers by request and reply. Prints both rates, their ratio, and how long a hold
takes with each at 50 a second.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from nats.aio.client import Client

from actors import messages as m
from actors.host.datadir import DataDir
from actors.host.nats.conf import CONF
from actors.host.nats.server import NatsServer, find
from actors.table import TABLE
from bus import subjects
from bus.envelope import Cause, open_letter, seal
from bus.jetstream import connect
from bus.loops.hints import Hints
from bus.loops.publisher import publish_surely
from bus.server import setup
from bus.server.authority import principals, variable
from bus.server.topology import topology
from bus.subjects import MAIL_STREAM
from config.settings import load
from config.split import part

CLIENTS = 8
PLAIN = "plain"
_ACCOUNT = "accounts {\n  PLAIN: {jetstream: enabled, users: [{user: plain, password: plain}]}"
MODELS = {"engineer": "model-engineer", "qa": "model-qa", "coo": "model-coo"}


class Guarded:
    """A client of the guard: writes its letters, and learns of grants by reading the log."""

    def __init__(self, url: str, passwords: dict[str, str], number: int) -> None:
        self._url, self._number = url, number
        self._principal = list(MODELS)[number % len(MODELS)]
        self._password = passwords[self._principal]
        self._mission = f"bench-{number}"
        self._n = 0

    async def start(self) -> None:
        self._carrier = await connect(self._url, user=self._principal, password=self._password)
        self._hints = Hints(self._carrier, MODELS[self._principal])

    async def hold(self) -> int:
        """Hold and return the sequence of the reserve once it is granted."""
        self._n += 1
        attempt = f"{os.getpid()}-{self._n}.1"
        order = m.Reserve(attempt=attempt, microusd=1_000, timeout_s=60)
        looking = await self._hints.looking()
        self._seq = await self._write(order)
        pattern = subjects.mail(self._mission, MODELS[self._principal], "granted", "budget")
        while True:
            for stored in await looking.wait() or await self._carrier.read(MAIL_STREAM, pattern, self._seq):
                if attempt_in(stored.body) == attempt:
                    looking.close()
                    return self._seq

    async def settle(self) -> None:
        await self._write(m.Settle(attempt=f"{os.getpid()}-{self._n}.1", microusd=500))

    async def _write(self, message: Any) -> int:
        cause = Cause(self._principal, f"{os.getpid()}-{self._n}", 0, 0, "")
        letter = seal(
            TABLE,
            sender=MODELS[self._principal],
            version=1,
            to="budget",
            mission=self._mission,
            message=message,
            cause=cause,
        )
        return await publish_surely(self._carrier, letter)

    async def stop(self) -> None:
        await self._carrier.close()


def attempt_in(body: bytes) -> str:
    return str(json.loads(body)["attempt"])


class Plain:
    """A client of the hand-written guard: request and reply."""

    def __init__(self, url: str, passwords: dict[str, str], number: int) -> None:
        self._url = url

    async def start(self) -> None:
        self._nats = Client()
        await self._nats.connect(self._url, user=PLAIN, password=PLAIN)

    async def hold(self) -> int:
        answer = await self._nats.request("bench.reserve", b"1000", timeout=10)
        assert answer.data != b"no"
        return int(answer.data)

    async def settle(self) -> None:
        await self._nats.request("bench.settle", b"500", timeout=10)

    async def stop(self) -> None:
        await self._nats.close()


async def plain_guard(url: str, ready: Any) -> None:
    """One writer, one balance; each change is in the stream before it is answered."""
    nats = Client()
    await nats.connect(url, user=PLAIN, password=PLAIN)
    stream, balance = nats.jetstream(), 10**12
    await stream.add_stream(name="PLAIN", subjects=["plain.>"])

    async def on_message(message: Any) -> None:
        nonlocal balance
        amount = int(message.data)
        if message.subject == "bench.reserve" and amount > balance:
            await message.respond(b"no")
            return
        balance -= amount if message.subject == "bench.reserve" else -amount
        ack = await stream.publish("plain.entries", message.data)
        await message.respond(str(ack.seq).encode())

    await nats.subscribe("bench.*", cb=on_message)
    await nats.flush()
    ready.set()
    await asyncio.Event().wait()


def run_plain_guard(url: str, ready: Any) -> None:
    asyncio.run(plain_guard(url, ready))


def run_client(
    kind: str, url: str, passwords: dict[str, str], number: int, seconds: float, rate: float, out: Any
) -> None:
    """Hold and settle until the time is over, at most `rate` holds a second if it is above 0."""
    out.put(asyncio.run(_client(kind, url, passwords, number, seconds, rate)))


async def _client(
    kind: str, url: str, passwords: dict[str, str], number: int, seconds: float, rate: float
) -> list[float]:
    client = (Guarded if kind == "guard" else Plain)(url, passwords, number)
    await client.start()
    took: list[float] = []
    begin = time.perf_counter()
    while time.perf_counter() - begin < seconds:
        if rate and (wait := len(took) / rate + begin - time.perf_counter()) > 0:
            await asyncio.sleep(wait)
        before = time.perf_counter()
        await client.hold()
        took.append(time.perf_counter() - before)
        await client.settle()
    await client.stop()
    return took


def measure(kind: str, url: str, passwords: dict[str, str], seconds: float, rate: float = 0) -> list[float]:
    """Return how long every hold of all clients took, in seconds."""
    out: Any = multiprocessing.Queue()
    clients = [
        multiprocessing.Process(
            target=run_client, args=(kind, url, passwords, n, seconds, rate / CLIENTS, out)
        )
        for n in range(CLIENTS)
    ]
    for client in clients:
        client.start()
    took = [one for _ in clients for one in out.get(timeout=seconds * 5 + 300)]
    for client in clients:
        client.join()
    return took


async def prepare(url: str, passwords: dict[str, str]) -> None:
    admin = await connect(url, user="admin", password=passwords["admin"])
    await setup.apply(admin, topology(TABLE))
    await admin.close()
    for who, to, mission, message in (
        (
            "ceo",
            "budget",
            "company",
            m.Limits(day_microusd=10**14, month_microusd=10**14, mission_microusd=1),
        ),
        *(("coo", "budget", f"bench-{n}", m.Open(cap_microusd=10**13)) for n in range(CLIENTS)),
    ):
        carrier = await connect(url, user=who, password=passwords[who])
        letter = open_letter(
            TABLE, sender=who, to=to, mission=mission, message=message, id=f"open-{mission}", time_ns=0
        )
        await publish_surely(carrier, letter)
        await carrier.close()


async def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--seconds", type=float, default=8.0)
    seconds = parser.parse_args().seconds
    with tempfile.TemporaryDirectory(prefix="coo-bench-") as folder:
        data_dir = DataDir(Path(folder) / "company")
        data_dir.create()
        passwords = data_dir.credentials(principals(TABLE))
        env = {variable(name): password for name, password in passwords.items()}
        conf = Path(folder) / "nats-server.conf"
        conf.write_text(CONF.read_text().replace("accounts {", _ACCOUNT, 1))
        async with NatsServer(find(None), conf, data_dir.nats, data_dir.run, "auto", env) as server:
            await prepare(server.url, passwords)
            found = await asyncio.to_thread(_compare, server.url, passwords, seconds, folder)
    print(json.dumps(found, indent=2))


def _compare(url: str, passwords: dict[str, str], seconds: float, folder: str) -> dict[str, Any]:
    config = Path(folder) / "budget.json"
    config.write_bytes(part(load(), "budget", TABLE.needs_of("budget")))
    guard = subprocess.Popen(
        [sys.executable, "-m", "actors.process.main", "budget", "--server", url, "--config", str(config)],
        env={**os.environ, variable("budget"): passwords["budget"]},
        stderr=subprocess.DEVNULL,
    )
    ready = multiprocessing.Event()
    plain = multiprocessing.Process(target=run_plain_guard, args=(url, ready))
    plain.start()
    ready.wait(10)
    try:
        measure("guard", url, passwords, 2.0, 50)  # both are warm from here on
        calm = {kind: sorted(measure(kind, url, passwords, seconds, 50)) for kind in ("guard", "plain")}
        rates = {kind: len(measure(kind, url, passwords, seconds)) / seconds for kind in ("guard", "plain")}
    finally:
        plain.terminate()
        guard.terminate()
        guard.wait()
    return {
        "guard_holds_per_s": f"{rates['guard']:.0f}",
        "plain_holds_per_s": f"{rates['plain']:.0f}",
        "ratio": f"{rates['guard'] / rates['plain']:.2f}",
        "at_50_per_s": {kind: _spread(took) for kind, took in calm.items()},
    }


def _spread(took: list[float]) -> dict[str, str]:
    p99 = took[int(len(took) * 0.99)]
    return {"p50_ms": f"{statistics.median(took) * 1000:.1f}", "p99_ms": f"{p99 * 1000:.1f}"}


if __name__ == "__main__":
    multiprocessing.set_start_method("spawn")
    asyncio.run(main())
