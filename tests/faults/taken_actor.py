"""A company that really runs, one of whose actors is taken over: somebody writes with its account.

    python tests/faults/taken_actor.py --actor engineer --messages 1000 --seed 1

The actor's own process goes on beside it. What is written comes from the generator of `coo chaos --taken`,
over a bare connection, with header bytes that no client library would send. Every mission that it does not
name must be completed, nobody may give up, and then `coo verify --all` and `coo audit` must name what is
forged and nothing else. Prints what came of it as JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent
sys.path += [str(FOLDER.parent / "support"), str(FOLDER.parent), str(FOLDER.parent / "acceptance")]

import msgspec
from running import Company, in_loop, running_company
from wire import Wire

from actors import messages as m
from actors.chaos.adversary import Adversary
from actors.chaos.blame import blamed, misnamed
from actors.chaos.taken import stream_of
from actors.desk.mission import Wish, publish, resolve
from actors.table import TABLE
from bus.envelope import Stored
from bus.jetstream import connect
from bus.subjects import EVERY_MAIL, address_of

GOALS = (
    "Write a word count tool with tests",
    "Write fizzbuzz",
    "Build a CSV to JSON converter with tests",
    "Write a slug function with tests",
)
LONGEST_S = 600
ROOM = {"COO_LIMITS__DAILY_USD": "10000", "COO_LIMITS__MONTHLY_USD": "10000", "COO_LIMITS__SLOTS": "50"}


class Attack:
    """Missions of a company, and what somebody writes beside them."""

    def __init__(self, company: Company, actor: str, seed: int, missions: int) -> None:
        self.company = company
        self.actor = actor
        self.forged: dict[str, set[int]] = {"COO": set(), "COO_BLOBS": set(), "COO_DLQ": set()}
        self.log: list[Stored] = []
        self.spared: list[str] = []
        self.named = ""
        self._chance = random.Random(seed)
        self._missions = missions

    async def run(self, messages: int) -> None:
        run, passwords = self.company.run, self.company.credentials
        ceo = await connect(run["url"], user="ceo", password=passwords["ceo"])
        reader = await connect(run["url"], user=self.actor, password=passwords[self.actor])
        wire = await Wire.open(run["url"], self.actor, passwords[self.actor])
        try:
            self.named = await self._give(ceo, 0)
            for n in range(1, self._missions + 1):
                self.spared.append(resolve(self._wish(n)).name)
            adversary = Adversary(TABLE, self.actor, self._chance, [self.named], self.spared)
            for n in range(messages):
                if (
                    n % max(1, messages // self._missions) == 0
                    and n // (messages // self._missions) < self._missions
                ):
                    await self._give(ceo, 1 + n // (messages // self._missions))
                if n % 10 == 0:
                    await self._hear(reader, adversary)
                message = adversary.message()
                verdict, seq = await wire.publish(*message)
                assert verdict != "forbidden", message
                if verdict == "stored":
                    self.forged[stream_of(message)].add(seq)
            await self._end(reader, adversary)
        finally:
            wire.close()
            await reader.close()
            await ceo.close()

    def _wish(self, n: int) -> Wish:
        return Wish(goal=GOALS[n % len(GOALS)], budget="5", key=f"taken-{n}", approve="none")

    async def _give(self, ceo: Any, n: int) -> str:
        order = resolve(self._wish(n))
        await publish(ceo, order)
        return order.name

    async def _hear(self, reader: Any, adversary: Adversary) -> None:
        start = self.log[-1].seq + 1 if self.log else 1
        while page := await reader.read("COO", EVERY_MAIL, start):
            self.log += page
            start = page[-1].seq + 1
            for stored in page:
                adversary.hear(stored)

    async def _end(self, reader: Any, adversary: Adversary) -> None:
        """Wait until every spared mission is over, and nobody writes any more."""
        end_s, quiet = time.monotonic() + LONGEST_S, 0
        while quiet < 10:
            before = len(self.log)
            await self._hear(reader, adversary)
            over = set(self.states().values()) <= m.FINAL
            quiet = quiet + 1 if over and len(self.log) == before else 0
            assert time.monotonic() < end_s, self.states()
            await asyncio.sleep(0.3)

    def states(self) -> dict[str, str]:
        """Return the state of every spared mission."""
        newest = {name: m.Status(state="created", at=-1) for name in self.spared}
        for stored in self.log:
            address = address_of(stored.subject)
            if address is not None and address.kind == "status" and address.mission in newest:
                status = msgspec.json.decode(stored.body, type=m.Status)
                if status.at >= newest[address.mission].at:
                    newest[address.mission] = status
        return {name: status.state for name, status in newest.items()}


def attack(folder: Path, actor: str, messages: int, seed: int, missions: int = 3) -> dict[str, Any]:
    """Attack a company; raises if it does not hold what it promises."""
    with running_company(folder, env=ROOM) as company:
        raging = Attack(company, actor, seed, missions)
        in_loop(lambda: raging.run(messages))
        assert set(raging.states().values()) == {"completed"}, raging.states()
        assert company.process is not None
        assert company.process.poll() is None
        assert set(company.pids) == {*TABLE.processes, "nats-server"}
        crashes = Counter(event["name"] for event in company.events if event["event"] == "crashed")
        assert not crashes, crashes
        began = time.monotonic()
        verified = company.coo("verify", "--all", "--json", timeout_s=300)
        audited = company.coo("audit", "--json", timeout_s=300)
        took_s = time.monotonic() - began
        for args in (
            ["ls"],
            ["show", raging.named],
            ["dlq", "ls"],
            ["budget"],
            *(["show", name] for name in raging.spared),
        ):
            done = company.coo(*args)
            assert "Traceback" not in done.stderr, (args, done.stderr[-2000:])
            assert done.returncode == 0, (args, done.stderr[-2000:])
    assert "Traceback" not in verified.stderr + audited.stderr, verified.stderr + audited.stderr
    report, audit = json.loads(verified.stdout), json.loads(audited.stdout)
    found = {finding["seq"]: finding["why"] for finding in report["findings"]}
    assert not (wrong := misnamed(raging.log, raging.forged["COO"], found)), wrong
    assert not (wrong := blamed(audit["violations"], raging.forged["COO"])), wrong
    return {
        "actor": actor,
        "written": messages,
        "stored": {stream: len(seqs) for stream, seqs in raging.forged.items()},
        "log": len(raging.log),
        "named_by_verify": len(found),
        "named_by_audit": len(audit["violations"]),
        "seconds_to_name": f"{took_s:.1f}",
        "states": dict(Counter(raging.states().values())),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--actor", choices=TABLE.processes, default="engineer")
    parser.add_argument("--messages", type=int, default=1000)
    parser.add_argument("--missions", type=int, default=3, help="missions that are not named")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="coo-taken-") as folder:
        found = attack(Path(folder), options.actor, options.messages, options.seed, options.missions)
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
