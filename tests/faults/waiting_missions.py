"""Hundreds of missions wait for the CEO at once, and every actor is killed and goes on.

    python tests/faults/waiting_missions.py --missions 500 --seed 1
    python tests/faults/waiting_missions.py --missions 500 --ask raise

All missions work until they ask the CEO: for their release, or, without any work in the sandbox, for a raise.
Then every actor is killed -9, one after the other in an order of the seed, and all of them at once; a few
more missions come and must get as far as their release; at last all are decided on, killed at once again in
the middle, and must end. Prints what came of it as JSON: how long a hold took (by the log's times) beside a
few and beside all, and what each mission wrote.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent
sys.path += [
    str(FOLDER.parent / "support"),
    str(FOLDER.parent),
    str(FOLDER.parent / "acceptance"),
    str(FOLDER),
]

import msgspec
from mission_storm import Watch, copies
from running import Company, in_loop, running_company

from actors import messages as m
from actors.table import TABLE
from bus.envelope import Stored, open_letter
from bus.jetstream import JetStreamCarrier, connect
from bus.loops.publisher import publish_surely

FEW = 5
GOAL = "Write fizzbuzz"
LONGEST_S = 3_600


class Waiting:
    """One company whose missions wait."""

    def __init__(self, company: Company, seed: int, ask: str) -> None:
        self._ask = ask
        self.company = company
        self.chance = random.Random(seed)
        self.watch = Watch()
        self.kills = 0
        self._given = 0

    async def run(self, missions: int) -> dict[str, Any]:
        ceo = await connect(self.company.run["url"], user="ceo", password=self.company.credentials["ceo"])
        try:
            few = await self._more(ceo, FEW, "release")
            await self._more(ceo, missions, self._ask)
            await asyncio.to_thread(self._kill_each)
            await asyncio.to_thread(self._kill_all)
            many = await self._more(ceo, FEW, "release")
            await self._decide_all(ceo)
        finally:
            await ceo.close()
        log = self.watch.log
        return {
            "missions": self._given,
            "kills": self.kills,
            "messages": len(log),
            "messages_a_mission": round(len(log) / self._given, 1),
            f"hold_beside_{FEW}": _holds(log, few),
            f"hold_beside_{missions}": _holds(log, many),
            "states": dict(Counter(status.state for status in self.watch.newest.values())),
        }

    async def _more(self, ceo: JetStreamCarrier, number: int, ask: str) -> set[str]:
        """Give missions and wait until each of them waits for the CEO."""
        names = [f"{ask}-{self._given + n}" for n in range(number)]
        self._given += number
        models = dict.fromkeys(("coo", "engineer", "qa"), "scripted")
        terms = m.Terms(models=models, ask_release=True, ask_raise=True)
        budget = 5_000_000 if ask == "release" else 1_000
        mission = m.Mission(goal=GOAL, budget_microusd=budget, terms=terms)
        for name in names:
            await _say(ceo, "coo", name, mission, f"mission-{name}")
        await self._until(ceo, lambda status: bool(status.asks))
        return set(names)

    async def _until(self, ceo: JetStreamCarrier, wanted: Callable[[m.Status], bool]) -> None:
        end_s = time.monotonic() + LONGEST_S
        while True:
            await self.watch.look(ceo)
            statuses = self.watch.newest.values()
            if len(statuses) == self._given and all(map(wanted, statuses)):
                return
            states = Counter(status.state for status in statuses)
            assert not states["paused_error"] + states["failed"], self.watch.stuck()[:3]
            assert time.monotonic() < end_s, dict(states)
            await asyncio.sleep(0.2)

    def _kill_each(self) -> None:
        names = list(TABLE.processes)
        self.chance.shuffle(names)
        for name in names:
            self.company.until_restarted(name, self.company.kill(name))
            self.kills += 1
        self.company.until_serving()

    def _kill_all(self) -> None:
        pids = {name: self.company.kill(name) for name in TABLE.processes}
        for name, pid in pids.items():
            self.company.until_restarted(name, pid)
        self.kills += len(pids)
        self.company.until_serving()

    async def _decide_all(self, ceo: JetStreamCarrier) -> None:
        """Approve every release; cancel what asks for money."""
        waiting = list(self.watch.newest.items())
        for n, (name, status) in enumerate(waiting):
            if name.startswith("release"):
                decision = m.Decision(digest=status.asks, verdict="approve")
                await _say(ceo, "approval", name, decision, f"decision-{name}")
            else:
                await _say(ceo, "coo", name, m.Control(action="cancel"), f"cancel-{name}")
            if n == len(waiting) // 2:
                await asyncio.to_thread(self._kill_all)
        await self._until(ceo, lambda status: status.state in m.FINAL)


async def _say(ceo: JetStreamCarrier, to: str, mission: str, message: msgspec.Struct, id: str) -> None:
    letter = open_letter(
        TABLE, sender="ceo", to=to, mission=mission, message=message, id=id, time_ns=ceo.now_ns()
    )
    await publish_surely(ceo, letter)


def _holds(log: list[Stored], missions: set[str]) -> dict[str, float]:
    """Return how long holds of some missions took, from the reserve to the grant."""
    asked: dict[tuple[str, str], int] = {}
    took_ms = []
    for stored in log:
        _, _, mission, _, kind, _ = stored.subject.split(".")
        if mission in missions and kind in ("reserve", "granted"):
            name = (mission, msgspec.json.decode(stored.body)["attempt"])
            if kind == "reserve":
                asked.setdefault(name, stored.time_ns)
            elif name in asked:
                took_ms.append((stored.time_ns - asked.pop(name)) / 1e6)
    took_ms.sort()
    p99 = took_ms[int(len(took_ms) * 0.99)]
    return {"p50_ms": round(statistics.median(took_ms), 1), "p99_ms": round(p99, 1)}


def play(folder: Path, missions: int, seed: int, ask: str = "release") -> dict[str, Any]:
    """Let missions wait, and return what came of it; raises if anything does not add up."""
    room = {
        "COO_LIMITS__DAILY_USD": "100000",
        "COO_LIMITS__MONTHLY_USD": "100000",
        "COO_LIMITS__SLOTS": str(missions + 2 * FEW),
    }
    with running_company(folder, env=room) as company:
        waiting = Waiting(company, seed, ask)
        found = in_loop(lambda: waiting.run(missions))
        audit = json.loads(company.coo("audit", "--json", timeout_s=600).stdout)
        verified = company.coo("verify", "--all", timeout_s=900)
    assert verified.returncode == 0, verified.stdout + verified.stderr
    assert audit["clean"], audit["violations"]
    assert not copies(waiting.watch.log)
    ends = (
        {"completed": 2 * FEW + missions}
        if ask == "release"
        else {"completed": 2 * FEW, "cancelled": missions}
    )
    assert found["states"] == ends, found["states"]
    return {**found, "verified": verified.stdout.strip().splitlines()[-1]}


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--missions", type=int, default=500)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--ask", choices=("release", "raise"), default="release")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="coo-waiting-") as folder:
        print(json.dumps(play(Path(folder), options.missions, options.seed, options.ask), indent=2))


if __name__ == "__main__":
    main()
