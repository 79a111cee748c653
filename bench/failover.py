"""How long mail waits when the process that holds it is killed, with and without the supervisor's naks.

    python bench/failover.py --kills 40 --baseline-kills 8

Runs companies as `coo up` does. In each round the CEO's mail goes to the approval gate in a burst, one of its
processes gets `kill -9` amid it, and the time runs until the last mail of the burst is answered in the log,
and until the first of those that were open at the kill. With `stopped`, the process is stopped before the
burst, so that it is certain to hold mail it has never seen. The baseline does not give mail back: that is
what `coo-actor` without a supervisor has.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import signal
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from actors import messages as m
from actors.host import launch
from actors.host.datadir import DataDir
from actors.host.session import session
from actors.process.held import Held
from actors.table import TABLE
from bus.envelope import open_letter
from bus.jetstream import JetStreamCarrier
from bus.subjects import MAIL_STREAM, mission_token
from config.settings import load

VICTIM = "approval"
BURST = 40
ACK_WAIT_S = 3.0
SPAN_S = 0.06
"""Kills fall within this after a burst begins: about as long as it takes to be handled."""


@dataclass
class Round:
    """One kill: what was unanswered when it came, and how long that took, in seconds."""

    open: int
    first_s: float
    last_s: float


@dataclass
class Scene:
    """A company of one kind."""

    name: str
    replicas: int
    naks: bool
    stopped: bool
    kills: int
    rounds: list[Round] = field(default_factory=list)

    def told(self) -> dict[str, Any]:
        hit = [one for one in self.rounds if one.open]
        return {
            "scene": self.name,
            "kills": len(self.rounds),
            "kills_that_hit": len(hit),
            "open_at_kill_median": statistics.median(one.open for one in hit) if hit else 0,
            **_spread("next_ms", [one.first_s for one in hit]),
            **_spread("all_ms", [one.last_s for one in hit]),
        }


def _spread(name: str, seconds: list[float]) -> dict[str, float]:
    ordered = sorted(seconds) or [0.0]
    return {
        f"{name}_p50": round(ordered[len(ordered) // 2] * 1000, 1),
        f"{name}_p99": round(ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))] * 1000, 1),
    }


async def play(scene: Scene, folder: Path, chance: random.Random) -> None:
    data_dir = DataDir(folder / scene.name.replace(" ", "-"))
    os.environ["COO_BUS__ACK_WAIT_S"] = str(ACK_WAIT_S)
    os.environ["COO_SANDBOX__BACKEND"] = "bubblewrap"
    plan = launch.Plan(settings=load(), data_dir=data_dir, port="auto", replicas=scene.replicas)
    async with AsyncExitStack() as stack:
        company = await stack.enter_async_context(launch.launched(plan, lambda event: None))
        if not scene.naks:
            company.supervisor._release = _keep
        secret = data_dir.stored_credentials()["ceo"]
        ceo = await stack.enter_async_context(session(company.url, "ceo", secret))
        for number in range(scene.kills):
            scene.rounds.append(await kill(scene, company, ceo, number, chance))


async def _keep(name: str, held: Held, living: Callable[[], Iterable[str]]) -> None:
    """Give nothing back."""


async def kill(
    scene: Scene, company: launch.Company, ceo: JetStreamCarrier, number: int, chance: random.Random
) -> Round:
    names = [name for name in company.supervisor.pids() if name.startswith(VICTIM)]
    name = names[number % len(names)]
    pid = company.supervisor.pids()[name]
    if scene.stopped:
        os.kill(pid, signal.SIGSTOP)
    writing = asyncio.create_task(write(ceo, f"b{number}"))
    if scene.stopped:
        await writing
    await asyncio.sleep(chance.uniform(0.0, SPAN_S))
    killed_ns = time.time_ns()
    os.kill(pid, signal.SIGKILL)
    written = await writing
    answered = await answers(ceo, written)
    open_ones = [mission for mission, (_, time_ns) in written.items() if time_ns < killed_ns]
    late = sorted(answered[one] - killed_ns for one in open_ones if answered[one] > killed_ns)
    while name not in company.supervisor.pids() or company.supervisor.pids()[name] == pid:
        await asyncio.sleep(0.01)
    await until_serving(company, len(names))
    if not late:
        return Round(0, 0.0, 0.0)
    return Round(len(late), late[0] / 1e9, late[-1] / 1e9)


async def write(ceo: JetStreamCarrier, word: str) -> dict[str, tuple[int, int]]:
    """Publish a burst, each mail of a mission of its own; return (sequence, time) of each."""
    letters = [
        open_letter(
            TABLE,
            sender="ceo",
            to=VICTIM,
            mission=f"{word}-{n}",
            message=m.Decision(digest="0" * 64, verdict="reject"),
            id=f"{word}-{n}-{time.time_ns()}",
            time_ns=time.time_ns(),
        )
        for n in range(BURST)
    ]
    start = min(ack.seq for ack in await asyncio.gather(*map(ceo.publish, letters)))
    stored = await ceo.read(MAIL_STREAM, f"coo.m.*.{VICTIM}.decision.ceo", start)
    return {mission_token(one.subject): (one.seq, one.time_ns) for one in stored}


async def answers(ceo: JetStreamCarrier, written: dict[str, tuple[int, int]]) -> dict[str, int]:
    """Wait until the whole burst is answered; return when each answer was stored, by mission."""
    found: dict[str, int] = {}
    start = min(seq for seq, _ in written.values())
    async with asyncio.timeout(60):
        while len(found) < BURST:
            for stored in await ceo.read(MAIL_STREAM, "coo.m.*.ceo.declined.>", start):
                found[mission_token(stored.subject)] = stored.time_ns
                start = stored.seq + 1
            await asyncio.sleep(0.002)
    return found


async def until_serving(company: launch.Company, count: int) -> None:
    """Wait until the killed process asks for mail again."""
    secrets = company.plan.data_dir.stored_credentials()
    async with session(company.url, "admin", secrets["admin"]) as admin:
        info = f"$JS.API.CONSUMER.INFO.{MAIL_STREAM}.{VICTIM}"
        while True:
            told = await admin.api(info, {})
            if told["num_waiting"] >= count and not told["num_ack_pending"]:
                return
            await asyncio.sleep(0.02)


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--kills", type=int, default=40)
    parser.add_argument("--baseline-kills", type=int, default=8)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    kills, few = options.kills, options.baseline_kills
    scenes = [
        Scene("two processes", 2, True, False, kills),
        Scene("two processes, stopped before", 2, True, True, kills),
        Scene("one process", 1, True, False, kills),
        Scene("one process, stopped before", 1, True, True, kills),
        Scene("two processes, no naks", 2, False, True, few),
        Scene("one process, no naks", 1, False, True, few),
    ]
    with tempfile.TemporaryDirectory(prefix="coo-failover-") as folder:
        for scene in scenes:
            asyncio.run(play(scene, Path(folder), random.Random(options.seed)))
            print(json.dumps(scene.told()), flush=True)
    print(json.dumps({"ack_wait_ms": ACK_WAIT_S * 1000, "cores": os.cpu_count()}))


if __name__ == "__main__":
    main()
