"""A storm over many missions: two processes of every role, killed and stopped, and the server killed, too.

    python tests/faults/mission_storm.py --missions 300 --kills 50 --server-kills 5 --seed 1
    python tests/faults/mission_storm.py --missions 40 --sleeps 3 --seed 1
    python tests/faults/mission_storm.py --missions 300 --cancels 300 --seed 1

Each mission must end in the state, with the deliverable and for the money of a calm run, plus the worst case
of each attempt caught between `sent` and settlement; no letter may be lost or doubled. `--sleeps` lets the
whole machine sleep past the duplicate window: then copies are allowed that every fold skips. `--cancels` has
the CEO cancel missions at random moments: they must be silent after their end but for what was under way, as
`coo verify` says, and the log must grow no more. Prints what came of it as JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent
sys.path += [
    str(FOLDER),
    str(FOLDER.parent / "support"),
    str(FOLDER.parent),
    str(FOLDER.parent / "acceptance"),
]

import msgspec
from cancels import Cancels
from endings import End, after_the_end, copies, ends
from running import Company, in_loop, running_company

from actors import messages as m
from actors.desk.mission import Wish, publish, resolve
from actors.table import TABLE
from bus.envelope import Stored
from bus.jetstream import connect

GOALS = (
    "Build a CSV to JSON converter with tests",
    "Write fizzbuzz",
    "Write a word count tool with tests",
    "Build a to-do list command with tests",
    "Write a slug function with tests",
    "Prove that one equals two",
)
ACK_WAIT_S = 2
WINDOW_S = 8
LONGEST_S = 1_500
ROOM = {
    "COO_LIMITS__DAILY_USD": "10000",
    "COO_LIMITS__MONTHLY_USD": "10000",
    "COO_LIMITS__SLOTS": "12",
    "COO_BUS__ACK_WAIT_S": str(ACK_WAIT_S),
}


@dataclass
class Plan:
    """What happens to the company, and how often."""

    kills: int = 0
    server_kills: int = 0
    sleeps: int = 0
    cancels: int = 0


@dataclass
class Watch:
    """Reads the log as it grows, and knows which missions are over."""

    log: list[Stored] = field(default_factory=list)
    newest: dict[str, m.Status] = field(default_factory=dict)

    async def look(self, carrier: Any) -> None:
        start = self.log[-1].seq + 1 if self.log else 1
        while page := await carrier.read("COO", "coo.m.>", start):
            self.log += page
            start = page[-1].seq + 1
            for stored in page:
                tokens = stored.subject.split(".")
                if tokens[4] == "status":
                    status = msgspec.json.decode(stored.body, type=m.Status)
                    if tokens[2] not in self.newest or status.at >= self.newest[tokens[2]].at:
                        self.newest[tokens[2]] = status

    def over(self) -> int:
        return sum(status.state in m.FINAL for status in self.newest.values())

    def stuck(self) -> list[str]:
        return [
            f"{name}: {status.state}: {status.reason}"
            for name, status in self.newest.items()
            if status.state in m.PAUSED or status.state == "failed"
        ]


class Storm:
    """One company under a storm."""

    def __init__(self, company: Company, seed: int, plan: Plan, missions: int) -> None:
        self.company = company
        self.chance = random.Random(seed)
        self.watch = Watch()
        self.done: Counter[str] = Counter()
        self.cancels = Cancels(
            self.chance, self.chance.sample([*map(name_of, range(missions))], plan.cancels)
        )
        self._names = [f"{name}{n}" for name in TABLE.processes for n in ("", "-2")]
        deeds: list[Callable[[], Awaitable[None]]] = [
            *([self._kill_or_stop] * plan.kills),
            *([self._kill_server] * plan.server_kills),
            *([self._sleep] * plan.sleeps),
        ]
        self.chance.shuffle(deeds)
        # Spread over the work to be done, not over a time that nobody knows beforehand.
        self._deeds = [(missions * n / (len(deeds) + 1), deed) for n, deed in enumerate(deeds)]

    async def run(self, missions: int) -> None:
        """Give all missions, let the storm go over them, and wait until the last is over and paid."""
        run = self.company.run
        ceo = await connect(run["url"], user="ceo", password=self.company.credentials["ceo"])
        try:
            for n in range(missions):
                wish = Wish(goal=GOALS[n % len(GOALS)], budget="5", key=f"storm-{n}", approve="none")
                await publish(ceo, resolve(wish))
            end_s = time.monotonic() + LONGEST_S
            while self.watch.over() < missions:
                assert time.monotonic() < end_s, self.watch.stuck() or f"{self.watch.over()} of {missions}"
                while self._deeds and self._deeds[0][0] <= self.watch.over():
                    await self._deeds.pop(0)[1]()
                await asyncio.sleep(self.chance.uniform(0.05, 0.4))
                await self.watch.look(ceo)
                await self.cancels.look(self.watch.log, ceo)
            await self._settled(ceo)
        finally:
            await ceo.close()

    async def _settled(self, ceo: Any) -> None:
        """Wait until nobody writes any more."""
        quiet, end_s = 0, time.monotonic() + LONGEST_S
        while quiet < 10:
            assert time.monotonic() < end_s, "all missions are over, and somebody still writes"
            before = len(self.watch.log)
            await asyncio.sleep(0.3)
            await self.watch.look(ceo)
            quiet = quiet + 1 if len(self.watch.log) == before else 0

    async def _kill_or_stop(self) -> None:
        name = self.chance.choice(self._names)
        pid = self.company.pids.get(name)
        if pid is None:
            return  # it is being started again this very moment
        if self.chance.random() < 0.6:
            _send(pid, signal.SIGKILL)
            self.done["kills"] += 1
            return
        _send(pid, signal.SIGSTOP)
        self.done["stops"] += 1
        # Half of the stops last past ack_wait: the mail goes to the other process meanwhile.
        asyncio.get_running_loop().call_later(
            self.chance.uniform(0.1, ACK_WAIT_S * 1.8), _send, pid, signal.SIGCONT
        )

    async def _kill_server(self) -> None:
        _send(self.company.pids["nats-server"], signal.SIGKILL)
        self.done["server_kills"] += 1

    async def _sleep(self) -> None:
        """Stop server and actors past the duplicate window, then let them go on in a random order."""
        pids = list(self.company.pids.values())
        for pid in pids:
            _send(pid, signal.SIGSTOP)
        await asyncio.sleep(WINDOW_S * 1.3)
        self.chance.shuffle(pids)
        for pid in pids:
            _send(pid, signal.SIGCONT)
        self.done["sleeps"] += 1


def _send(pid: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, number)


def calm(folder: Path) -> dict[str, End]:
    """Run each goal once, undisturbed, and return how it ends."""
    with running_company(folder, env=ROOM) as company:
        quiet = Storm(company, 0, Plan(), len(GOALS))
        in_loop(lambda: quiet.run(len(GOALS)))
        by_mission = ends(quiet.watch.log)
        return {goal: by_mission[name_of(n)] for n, goal in enumerate(GOALS)}


def name_of(n: int) -> str:
    return resolve(Wish(goal=GOALS[n % len(GOALS)], budget="5", key=f"storm-{n}", approve="none")).name


def storm(folder: Path, missions: int, seed: int, plan: Plan) -> dict[str, Any]:
    """Run a storm and return what came of it; raises if anything does not add up."""
    wanted = calm(folder / "calm")
    window = {"COO_BUS__DUPLICATE_WINDOW_S": str(WINDOW_S)} if plan.sleeps else {}
    with running_company(folder / "storm", "--replicas", "2", env={**ROOM, **window}) as company:
        raging = Storm(company, seed, plan, missions)
        began = time.monotonic()
        in_loop(lambda: raging.run(missions))
        took_s = time.monotonic() - began
        audit = json.loads(company.coo("audit", "--json", timeout_s=600).stdout)
        verified = company.coo("verify", "--all", timeout_s=900)
    log = raging.watch.log
    found = ends(log)
    for n in range(missions):
        end, expected = found[name_of(n)], wanted[GOALS[n % len(GOALS)]]
        if end.state == "cancelled":
            assert name_of(n) in raging.cancels.said
            assert end.files == ()
            continue
        assert (end.state, end.files, end.settled) == (expected.state, expected.files, expected.settled), (
            name_of(n),
            end,
            expected,
        )
    doubled = copies(log)
    assert plan.sleeps or not doubled, f"{doubled} letters are doubled"
    assert verified.returncode == 0, verified.stdout + verified.stderr
    assert audit["clean"], audit["violations"]
    assert audit["overruns"] == []
    return {
        "missions": missions,
        "messages": len(log),
        "storm_s": f"{took_s:.1f}",
        **raging.done,
        "copies": doubled,
        "cancels": len(raging.cancels.said),
        "most_after_an_end": max(map(len, after_the_end(log).values())),
        "in_doubt_microusd": sum(end.in_doubt for end in found.values()),
        "settled_microusd": sum(end.settled for end in found.values()),
        "states": dict(Counter(end.state for end in found.values())),
        "verified": verified.stdout.strip().splitlines()[-1],
        "audit": f"{audit['messages']} messages, {audit['holds']} holds, no violation",
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--missions", type=int, default=300)
    parser.add_argument("--kills", type=int, default=0, help="kills and stops of actors")
    parser.add_argument("--server-kills", type=int, default=0)
    parser.add_argument("--sleeps", type=int, default=0, help="times that the whole machine sleeps")
    parser.add_argument("--cancels", type=int, default=0, help="missions cancelled at a random moment")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    plan = Plan(options.kills, options.server_kills, options.sleeps, options.cancels)
    with tempfile.TemporaryDirectory(prefix="coo-storm-") as folder:
        found = storm(Path(folder), options.missions, options.seed, plan)
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
