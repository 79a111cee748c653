"""Mail that kills real processes under the real supervisor: it is put aside, and nothing else suffers."""

from __future__ import annotations

import asyncio
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from actors import messages as m
from actors.host.datadir import DataDir
from actors.host.failover import Failover
from actors.host.supervisor import ProcessEvent, ProcessSpec, RestartPolicy, Supervisor
from actors.table import TABLE
from bus import deadletters
from bus.envelope import Outgoing, open_letter
from bus.loops.publisher import publish_surely
from bus.server.authority import variable
from bus.subjects import DLQ_STREAM, MAIL_STREAM, mission_of
from bus.table import Buried

DEADLY = Path(__file__).parent / "deadly.py"
NEIGHBOURS = 30
SICK = ["sick-0", "sick-1", "sick-2"]
QUICK = RestartPolicy(first_delay_s=0.05, max_delay_s=0.5, max_crashes=30)


@pytest.fixture
def ack_wait_s() -> float:
    return 60.0


class Scene:
    """Some processes of one actor under a supervisor that gives back what they held."""

    def __init__(self, nats: Any, folder: Path, cpu_s: float) -> None:
        self.nats = nats
        self.data_dir = DataDir(folder / "scene")
        self.data_dir.create()
        self.events: list[ProcessEvent] = []
        self.cpu_s = cpu_s

    def spec(self, actor: str, name: str) -> ProcessSpec:
        argv = [sys.executable, str(DEADLY), actor, self.nats.server.url, str(self.data_dir.strikes(actor))]
        env = {variable(actor): self.nats.passwords[actor]}
        log = self.data_dir.log(name)
        return ProcessSpec(name=name, argv=[*argv, str(self.cpu_s)], env=env, log=log)

    @asynccontextmanager
    async def running(self, actor: str, replicas: int) -> AsyncIterator[None]:
        failover = Failover(
            await self.nats.connect("supervisor"), await self.nats.connect("admin"), self.data_dir
        )
        names = [actor, f"{actor}-2"][:replicas]
        specs = [self.spec(actor, name) for name in names]
        async with Supervisor(specs, self.events.append, QUICK, release=failover.release):
            yield
        await failover.close()

    def deaths(self) -> Counter[str]:
        return Counter(event.reason for event in self.events if event.kind == "crashed")


@pytest.fixture
async def scene(nats: Any, tmp_path: Path) -> Scene:
    return Scene(nats, tmp_path, 10.0)


def decision(mission: str, note: str = "", word: str = "") -> Outgoing:
    answer = m.Decision(digest="0" * 64, verdict="reject", note=note)
    return open_letter(
        TABLE,
        sender="ceo",
        to="approval",
        mission=mission,
        message=answer,
        id=f"{mission}-{note}-{word}",
        time_ns=time.time_ns(),
    )


async def declined(carrier: Any) -> Counter[str]:
    """Count the gate's answers by mission."""
    found: Counter[str] = Counter()
    start = 1
    while page := await carrier.read(MAIL_STREAM, "coo.m.*.ceo.declined.approval", start):
        found.update(mission_of(stored.subject) for stored in page)
        start = page[-1].seq + 1
    return found


async def become(look: Any, wanted: object, within_s: float = 30.0) -> None:
    try:
        async with asyncio.timeout(within_s):
            while await look() != wanted:
                await asyncio.sleep(0.02)
    except TimeoutError:
        assert await look() == wanted


async def entries(carrier: Any) -> list[tuple[str, int, str]]:
    found = [deadletters.entry_of(stored) for stored in await carrier.read(DLQ_STREAM, "coo.dlq.>", 1)]
    return [(entry.mailbox, entry.original_seq, entry.reason) for entry in found]


@pytest.mark.parametrize("replicas", [1, 2])
async def test_mail_that_kills_stops_its_keys_alone_until_it_is_buried(
    nats: Any, scene: Scene, replicas: int
) -> None:
    ceo, operator = await nats.connect("ceo"), await nats.connect("operator")
    deadly = {}
    for name in SICK:
        await ceo.publish(decision(name))
        deadly[name] = (await ceo.publish(decision(name, "kill"))).seq
        await ceo.publish(decision(name, word="after"))
    healthy = Counter({f"well-{n}": 2 for n in range(NEIGHBOURS)})
    for word in ("a", "b"):
        await asyncio.gather(*(ceo.publish(decision(name, word=word)) for name in healthy))
    async with scene.running("approval", replicas):
        # Long before ack_wait: what was in flight at each death was given back.
        await become(lambda: declined(ceo), healthy + Counter(SICK))

        async def complaints() -> list[tuple[int, str]]:
            found = await ceo.read(MAIL_STREAM, "coo.m.*.coo.error.approval", 1)
            told = [msgspec.json.decode(stored.body) for stored in found]
            return sorted((one["seq"], one["reason"]) for one in told)

        await become(complaints, [(seq, "quarantined") for seq in deadly.values()])
        assert scene.deaths() == {"signal 9 (Killed)": 3 * len(SICK)}

        for name in SICK:
            await operator.publish(burial(name, deadly[name]))
        await become(lambda: declined(ceo), healthy + Counter(SICK * 2))

        async def dead() -> list[tuple[str, int, str]]:
            return sorted(await entries(ceo))

        await become(dead, [("approval", seq, "buried") for seq in deadly.values()])

        for stored in await ceo.read(DLQ_STREAM, "coo.dlq.>", 1):
            letter, _ = await deadletters.replay(operator, deadletters.entry_of(stored))
            for _ in range(2):  # a crash of the command, and again
                await publish_surely(operator, letter)
        await become(lambda: declined(ceo), healthy + Counter(SICK * 3))
    assert scene.deaths() == {"signal 9 (Killed)": 3 * len(SICK)}


def burial(mission: str, seq: int) -> Outgoing:
    return open_letter(
        TABLE,
        sender="operator",
        to="approval",
        mission=mission,
        message=Buried(seq=seq, reason="it kills"),
        id=f"burial-{seq}",
        time_ns=time.time_ns(),
    )


async def test_a_decision_that_never_ends_is_killed_and_put_aside(nats: Any, tmp_path: Path) -> None:
    scene = Scene(nats, tmp_path, 0.5)
    ceo = await nats.connect("ceo")
    spinning = (await ceo.publish(decision("sick", "spin"))).seq
    await ceo.publish(decision("well"))
    async with scene.running("approval", 1):
        await become(lambda: declined(ceo), Counter(well=1))

        async def complaints() -> list[int]:
            found = await ceo.read(MAIL_STREAM, "coo.m.*.coo.error.approval", 1)
            return [msgspec.json.decode(stored.body)["seq"] for stored in found]

        await become(complaints, [spinning])
    assert scene.deaths() == {"signal 27 (Profiling timer expired)": 3}


def order(mission: str, *argv: str) -> Outgoing:
    run = m.Execute(run="run", number=0, rework=0, round=0, argv=argv, files={}, timeout_s=10)
    return open_letter(
        TABLE,
        sender="engineer",
        to="sandbox",
        mission=mission,
        message=run,
        id=f"{mission}-order",
        time_ns=time.time_ns(),
    )


async def test_an_order_that_kills_is_answered_as_failed_and_its_neighbours_as_ever(
    nats: Any, scene: Scene
) -> None:
    engineer = await nats.connect("engineer")
    deadly = (await engineer.publish(order("sick", "kill"))).seq
    names = {f"well-{n}" for n in range(NEIGHBOURS)}
    await asyncio.gather(*(engineer.publish(order(name, "true")) for name in names))

    async def outcomes() -> dict[str, tuple[str, str]]:
        found = await engineer.read(MAIL_STREAM, "coo.m.*.engineer.outcome.sandbox", 1)
        assert len(found) == len({stored.headers["coo-cause"] for stored in found})
        told = {mission_of(stored.subject): msgspec.json.decode(stored.body) for stored in found}
        return {name: (one["status"], one.get("reason", "")) for name, one in told.items()}

    killed = {"sick": ("failed", "killed the performer three times")}
    async with scene.running("sandbox", 1):
        await become(outcomes, dict.fromkeys(names, ("ok", "")) | killed)
        await become(lambda: entries(engineer), [("sandbox", deadly, "killed")])
    assert scene.deaths() == {"signal 9 (Killed)": 3}


async def test_mail_that_raises_is_in_the_dead_letters_and_each_replay_restores_one(
    nats: Any, scene: Scene
) -> None:
    ceo, operator = await nats.connect("ceo"), await nats.connect("operator")
    names = [f"m-{n}" for n in range(100)]
    sick = names[::10]
    sent = [await ceo.publish(decision(name, "raise" if name in sick else "")) for name in names]
    raised = [ack.seq for ack, name in zip(sent, names, strict=True) if name in sick]
    async with scene.running("approval", 2):
        await become(lambda: declined(ceo), Counter(name for name in names if name not in sick))

        async def found() -> list[tuple[str, int, str]]:
            return sorted(await entries(ceo))

        await become(found, [("approval", seq, "raised") for seq in raised])
        for stored in await ceo.read(DLQ_STREAM, "coo.dlq.>", 1):
            letter, _ = await deadletters.replay(operator, deadletters.entry_of(stored))
            for _ in range(2):
                await publish_surely(operator, letter)
        await become(lambda: declined(ceo), Counter(names))
    assert scene.deaths() == {}
