"""A storm over the money: processes that hold and settle, while callers, guards and the server are killed.

    python tests/faults/money_storm.py --holds 1000 --seed 1

Eight processes make random calls on four shared caps through the real money path, to a provider with a meter
of its own. `kill -9` hits callers, both guards and nats-server at random. Prints what came of it as JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent
sys.path += [str(FOLDER.parent / "support"), str(FOLDER.parent), str(FOLDER.parent / "acceptance")]

from running import Company, in_loop, running_company, until

from actors import messages as m
from actors.projections.guard import read_books
from actors.table import TABLE
from bus.envelope import open_letter
from bus.jetstream import connect
from bus.loops.publisher import publish_surely

CALLERS = 8
MISSIONS = tuple(f"storm-{n}" for n in range(4))
MOST_HELD = 40_000


@dataclass
class Meter:
    """What the provider charged, by attempt; it counts before it answers, and often fails after that."""

    charged: dict[str, int] = field(default_factory=dict)
    twice: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)
    chance: random.Random = field(default_factory=random.Random)

    def charge(self, attempt: str, most: int) -> tuple[int, int]:
        """Return an HTTP status and what is charged."""
        with self.lock:
            fate = self.chance.random()
            if fate < 0.05:
                return 429, 0
            if attempt in self.charged:
                self.twice.append(attempt)
            microusd = self.chance.randint(1, most)
            self.charged[attempt] = self.charged.get(attempt, 0) + microusd
            return (500 if fate < 0.10 else 200), microusd


def serve(meter: Meter) -> ThreadingHTTPServer:
    """Run the provider in threads of its own."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            status, microusd = meter.charge(asked["attempt"], asked["most"])
            time.sleep(meter.chance.uniform(0.0, 0.02))
            body = json.dumps({"microusd": microusd}).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


class Caller:
    """One calling process, started again where it was when it is killed."""

    def __init__(self, company: Company, folder: Path, number: int, holds: int, url: str, seed: int) -> None:
        self._argv = [sys.executable, str(FOLDER / "caller.py"), company.url]
        self._argv += [str(number), str(holds), url, str(seed), str(folder / f"caller-{number}")]
        self._env = {**os.environ, "COO_PASSWORD": company.credentials["engineer"]}
        self.kills = 0
        self.start()

    def start(self) -> None:
        self.process = subprocess.Popen(self._argv, env=self._env)

    def kill(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
            self.kills += 1
            self.start()

    def end(self) -> None:
        self.process.kill()
        self.process.wait()

    @property
    def done(self) -> bool:
        code = self.process.poll()
        if code not in (None, 0):
            self.start()
        return code == 0


async def _open(company: Company, cap: int) -> None:
    """Open the missions as the COO would."""
    coo = await connect(company.url, user="coo", password=company.credentials["coo"])
    try:
        for name in MISSIONS:
            order = m.Open(cap_microusd=cap)
            letter = open_letter(
                TABLE, sender="coo", to="budget", mission=name, message=order, id=f"open-{name}", time_ns=0
            )
            await publish_surely(coo, letter)
    finally:
        await coo.close()


async def _books(company: Company) -> Any:
    ceo = await connect(company.run["url"], user="ceo", password=company.credentials["ceo"])
    try:
        return await read_books(ceo)
    finally:
        await ceo.close()


def storm(folder: Path, holds: int, seed: int, cap: int, pause_s: tuple[float, float]) -> dict[str, Any]:
    """Run a storm and return what came of it; raises if anything does not add up."""
    chance, meter = random.Random(seed), Meter(chance=random.Random(seed))
    provider = serve(meter)
    url = f"http://127.0.0.1:{provider.server_port}/"
    kills = {"callers": 0, "budget": 0, "budget-2": 0, "nats-server": 0}
    with running_company(folder, "--replicas", "2") as company:
        in_loop(lambda: _open(company, cap))
        began = time.monotonic()
        share = -(-holds // CALLERS)
        callers = [Caller(company, folder, n, share, url, seed) for n in range(CALLERS)]
        try:
            _rage(company, callers, chance, kills, pause_s)
        finally:
            for caller in callers:
                caller.end()
        kills["callers"] = sum(caller.kills for caller in callers)
        took_s = time.monotonic() - began
        until(
            lambda: company.json("budget")["accounts"][0]["held_usd"] == "0.00", timeout_s=90, what="no hold"
        )
        audit = json.loads(company.coo("audit", "--json").stdout)
        books = in_loop(lambda: _books(company))
    provider.shutdown()
    provider.server_close()
    return _checked(audit, books, meter, kills, cap) | {"storm_s": f"{took_s:.1f}"}


def _rage(
    company: Company,
    callers: list[Caller],
    chance: random.Random,
    kills: dict[str, int],
    pause_s: tuple[float, float],
) -> None:
    """Kill at random until every caller has made its calls."""
    while sum(caller.done for caller in callers) < CALLERS:  # each is looked at: it starts what failed
        time.sleep(chance.uniform(*pause_s))
        victim = chance.choices(["caller", "budget", "budget-2", "nats-server"], [6, 2, 2, 1])[0]
        if victim == "caller":
            chance.choice(callers).kill()
        else:
            company.until_restarted(victim, company.kill(victim))
            kills[victim] += 1


def _checked(
    audit: dict[str, Any], books: Any, meter: Meter, kills: dict[str, int], cap: int
) -> dict[str, Any]:
    """Check what must hold after any storm, by figures that neither ledger has made."""
    booked = {key[1]: hold.now for key, hold in books.holds.items()}
    assert audit["clean"], audit["violations"]
    assert audit["overruns"] == []
    assert meter.twice == [], "an attempt went out twice"
    short = {
        a: (charged, booked.get(a)) for a, charged in meter.charged.items() if charged > booked.get(a, -1)
    }
    assert short == {}, "booked below what the provider charged"
    ends = {hold.status for hold in books.holds.values()}
    assert not ends & {"held", "sent"}
    for name in MISSIONS:
        account = books.accounts[f"mission:{name}"]
        own = sum(hold.now for key, hold in books.holds.items() if key[0] == name)
        assert (account.posted, account.pending) == (own, 0)
        assert account.peak <= cap
    exact = [a for a, charged in meter.charged.items() if charged == booked[a]]
    return {
        "holds": len(books.holds),
        "metered_microusd": sum(meter.charged.values()),
        "booked_microusd": sum(booked.values()),
        "exact": len(exact),
        "in_doubt": sum(hold.status == "in_doubt" for hold in books.holds.values()),
        "released": sum(hold.status in ("released", "voided") for hold in books.holds.values()),
        "kills": kills,
        "longest_overdue_s": audit["longest_overdue_s"],
        "peaks": audit["peaks"],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--holds", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="coo-storm-") as folder:
        cap = options.holds * MOST_HELD // 12
        found = storm(Path(folder), options.holds, options.seed, cap, (0.2, 1.2))
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
