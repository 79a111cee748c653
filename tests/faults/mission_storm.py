"""A storm over many missions: two processes of every role, killed and stopped, and the server killed, too.

    python tests/faults/mission_storm.py --missions 300 --kills 50 --server-kills 5 --seed 1
    python tests/faults/mission_storm.py --missions 40 --sleeps 3 --seed 1

Each mission must end in the state, with the deliverable and for the money of a calm run, plus the worst case
of each attempt caught between `sent` and settlement; no letter may be lost or doubled. `--sleeps` lets the
whole machine sleep past the duplicate window: then copies are allowed that every fold skips. Prints what came
of it as JSON.
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
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent
sys.path += [str(FOLDER.parent), str(FOLDER.parent / "acceptance")]

import msgspec  # noqa: E402
from running import Company, in_loop, running_company  # noqa: E402

from actors import messages as m  # noqa: E402
from actors.desk.order import Wish, publish, resolve  # noqa: E402
from actors.table import TABLE  # noqa: E402
from bus.envelope import Stored  # noqa: E402
from bus.jetstream import connect  # noqa: E402

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


@dataclass(frozen=True)
class End:
    """How a mission ended: its state, its files' sha256, what was settled, and worst cases in doubt."""

    state: str
    files: tuple[tuple[str, str], ...]
    settled: int
    in_doubt: int = 0


@dataclass
class Plan:
    """What happens to the company, and how often."""

    kills: int = 0
    server_kills: int = 0
    sleeps: int = 0


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


def ends(log: list[Stored]) -> dict[str, End]:
    """Return how every mission of a log ended; a second copy of a letter counts once."""
    newest: dict[str, m.Status] = {}
    settled: dict[str, dict[str, int]] = defaultdict(dict)
    held: dict[str, dict[str, int]] = defaultdict(dict)
    sent: dict[str, set[str]] = defaultdict(set)
    for stored in log:
        _, _, mission, _, kind, _ = stored.subject.split(".")
        match kind:
            case "status":
                status = msgspec.json.decode(stored.body, type=m.Status)
                if mission not in newest or status.at >= newest[mission].at:
                    newest[mission] = status
            case "granted":
                granted = msgspec.json.decode(stored.body, type=m.Granted)
                held[mission][granted.attempt] = granted.microusd
            case "sent":
                sent[mission].add(msgspec.json.decode(stored.body, type=m.Sent).attempt)
            case "settle":
                bill = msgspec.json.decode(stored.body, type=m.Settle)
                settled[mission][bill.attempt] = bill.microusd
            case "void":
                sent[mission].discard(msgspec.json.decode(stored.body, type=m.Void).attempt)
    return {
        name: End(
            status.state,
            tuple(sorted((path, ref.digest) for path, ref in status.deliverable.items())),
            sum(settled[name].values()),
            sum(held[name][attempt] for attempt in sent[name] - set(settled[name])),
        )
        for name, status in newest.items()
    }


def copies(log: list[Stored]) -> int:
    """Count second copies of letters, each of which must be the very same."""
    first: dict[tuple[str, str], Stored] = {}
    found = 0
    for stored in log:
        name = (stored.subject, stored.headers["ce-id"])
        if name in first:
            found += 1
            assert stored.body == first[name].body, f"message {stored.seq} is another {first[name].seq}"
        first.setdefault(name, stored)
    return found


class Storm:
    """One company under a storm."""

    def __init__(self, company: Company, seed: int, plan: Plan, missions: int) -> None:
        self.company = company
        self.chance = random.Random(seed)
        self.watch = Watch()
        self.done: Counter[str] = Counter()
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
            await self._settled(ceo)
        finally:
            await ceo.close()

    async def _settled(self, ceo: Any) -> None:
        """Wait until nobody writes any more."""
        quiet = 0
        while quiet < 10:
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
        "in_doubt_microusd": sum(end.in_doubt for end in found.values()),
        "settled_microusd": sum(end.settled for end in found.values()),
        "states": dict(Counter(end.state for end in found.values())),
        "verified": verified.stdout.strip().splitlines()[-1],
        "audit": f"{audit['mails']} mails, {audit['holds']} holds, no violation",
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--missions", type=int, default=300)
    parser.add_argument("--kills", type=int, default=0, help="kills and stops of actors")
    parser.add_argument("--server-kills", type=int, default=0)
    parser.add_argument("--sleeps", type=int, default=0, help="times that the whole machine sleeps")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    plan = Plan(options.kills, options.server_kills, options.sleeps)
    with tempfile.TemporaryDirectory(prefix="coo-storm-") as folder:
        found = storm(Path(folder), options.missions, options.seed, plan)
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
