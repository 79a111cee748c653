"""What the clock promises on either carrier: each wake ticks once, however many missions wait."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random
from typing import Any

import msgspec
import pytest

from actors import messages as m
from actors.performers import clock as clockwork
from actors.performers.clock import Clock
from actors.performers.wakes import MAX_WAKES, OpenWake, OpenWakes, Wakes
from actors.table import TABLE
from bus import blobs
from bus.envelope import Outgoing, base_headers, open_letter
from bus.subjects import COMPANY, DLQ_STREAM, MAIL_STREAM
from bus.table import Checkpoint, Table

HOUR_NS = 3_600_000_000_000


@pytest.fixture
def toy_table() -> Table:
    return TABLE


def said(sender: str, to: str, mission: str, message: msgspec.Struct, id: str) -> Outgoing:
    return open_letter(
        TABLE, sender=sender, to=to, mission=mission, message=message, id=id, time_ns=time.time_ns()
    )


def wake(mission: str, name: str, in_s: float, sender: str = "coo") -> Outgoing:
    at_ns = time.time_ns() + int(in_s * 1e9)
    id = f"{mission}-{name}-{at_ns}"
    return said(sender, "clock", mission, m.Wake(name=name, at_ns=at_ns), id)


@asynccontextmanager
async def ticking(carrier: Any, *, killed: bool = False) -> AsyncIterator[Clock]:
    """Run a clock; drained at the end, or killed without a word."""
    clock, stop = Clock(TABLE, carrier), asyncio.Event()
    task = asyncio.create_task(clock.run(stop))
    try:
        yield clock
    finally:
        if killed:
            clock._since_checkpoint = 0
            task.cancel()
        stop.set()
        await asyncio.gather(task, return_exceptions=killed)


async def everything(carrier: Any, pattern: str, stream: str = MAIL_STREAM) -> list[Any]:
    found: list[Any] = []
    while page := await carrier.read(stream, pattern, found[-1].seq + 1 if found else 1):
        found += page
    return found


async def ticks(carrier: Any) -> Counter[str]:
    """Return how often each wake was answered, by mission and name."""
    found = await everything(carrier, "coo.m.*.*.tick.clock")
    return Counter(f"{one.subject.split('.')[2]}/{msgspec.json.decode(one.body)['name']}" for one in found)


async def until(condition: Any) -> None:
    async with asyncio.timeout(120):
        while not await condition():
            await asyncio.sleep(0.05)


async def test_a_thousand_missions_wait_and_the_clock_is_restarted(world: Any) -> None:
    carrier = await world.carrier()
    names = [f"m-{n}" for n in range(1000)]
    letters = [wake(name, kind, 3600) for name in names for kind in ("pause", "park", "d" * 64)]
    for start in range(0, len(letters), 200):
        await asyncio.gather(*(carrier.publish(letter) for letter in letters[start : start + 200]))
    async with ticking(await world.carrier(), killed=True) as clock:
        await until(lambda: _counted(clock, 3000))
    async with ticking(await world.carrier()) as clock:
        await until(lambda: _counted(clock, 3000))
    [*_, newest] = await everything(carrier, "coo.m.company.clock.checkpoint.clock")
    checkpoint = msgspec.json.decode(newest.body, type=Checkpoint)
    assert checkpoint.blob is not None
    assert checkpoint.blob.size > 64 * 1024
    for name in names[:990]:
        await carrier.publish(said("coo", "budget", name, m.Close(state="cancelled"), f"close-{name}"))
    async with ticking(await world.carrier()) as clock:
        await until(lambda: _counted(clock, 30))
        await carrier.publish(wake("m-995", "pause", 0))
        await until(lambda: _ticked(carrier, {"m-995/pause": 1}))


async def _counted(clock: Clock, wanted: int) -> bool:
    return len(clock._wakes) == wanted


async def _ticked(carrier: Any, wanted: dict[str, int]) -> bool:
    return await ticks(carrier) == wanted


@pytest.mark.parametrize("seed", range(2))
async def test_each_wake_ticks_once_through_kills(
    world: Any, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clockwork, "_CHECKPOINT_EVERY", 3)
    carrier, chance = await world.carrier(), Random(seed)
    wanted: Counter[str] = Counter()
    for n in range(8):
        async with ticking(await world.carrier(), killed=chance.random() < 0.7):
            for mission in range(5):
                name = f"m-{n}-{mission}"
                await carrier.publish(wake(name, "soon", chance.uniform(0, 0.3)))
                await carrier.publish(wake(name, "late", 3600))
                wanted[f"{name}/soon"] += 1
            await asyncio.sleep(chance.uniform(0, 0.2))
    async with ticking(await world.carrier()), ticking(await world.carrier()):
        await until(lambda: _ticked(carrier, wanted))


async def test_more_open_wakes_than_a_mission_may_have_are_dead_letters(world: Any) -> None:
    carrier = await world.carrier()
    async with ticking(await world.carrier()) as clock:
        for n in range(MAX_WAKES + 5):
            await carrier.publish(wake("m-1", f"w-{n}", 3600))
        await carrier.publish(wake("m-1", "w-0", 7200))  # takes the place of the first
        await carrier.publish(wake("m-2", "other", 3600))
        await until(lambda: _counted(clock, MAX_WAKES + 1))
        await until(lambda: _dead(carrier, 5))
    [*told] = await everything(carrier, "coo.m.m-1.coo.error.clock")
    assert {msgspec.json.decode(one.body)["reason"] for one in told} == {"too_many_wakes"}


async def _dead(carrier: Any, wanted: int) -> bool:
    return len(await everything(carrier, "coo.dlq.clock.>", DLQ_STREAM)) == wanted


@pytest.mark.parametrize(
    "body",
    [
        b"not json",
        b'{"version":1,"position":3}',
        b'{"version":1,"position":1,"blob":{"owner":"clock","digest":"%s","size":70000}}' % (b"0" * 64),
        b'{"version":1,"position":1000000,"fold":{"open":{}}}',
        b'{"version":7,"position":1,"fold":{"open":{}}}',
    ],
)
async def test_a_checkpoint_that_cannot_be_believed_is_left_out(world: Any, body: bytes) -> None:
    carrier = await world.carrier()
    await carrier.publish(wake("m-1", "pause", 0))
    await carrier.publish(wake("m-2", "pause", 3600))
    headers = base_headers("squatted", "clock", "checkpoint", time.time_ns())
    await carrier.publish(Outgoing("coo.m.company.clock.checkpoint.clock", headers, body))
    async with ticking(await world.carrier()) as clock:
        await until(lambda: _ticked(carrier, {"m-1/pause": 1}))
        assert len(clock._wakes) == 1


async def test_the_end_of_a_mission_is_no_end_of_the_companys_own_wakes(world: Any) -> None:
    carrier = await world.carrier()
    await carrier.publish(wake(COMPANY, "expiry", 1, sender="budget"))
    await carrier.publish(said("coo", "budget", COMPANY, m.Close(state="failed"), "close"))
    async with ticking(await world.carrier()):
        await until(lambda: _ticked(carrier, {"company/expiry": 1}))


async def test_a_checkpoint_is_restored_wherever_it_was_stored(world: Any) -> None:
    carrier = await world.carrier()
    open_wakes = {
        one.place: one
        for one in (
            OpenWake(
                mission=f"m-{n}",
                sender="coo",
                id=f"{n}",
                seq=n + 1,
                time_ns=0,
                name="pause",
                at_ns=10**6 * HOUR_NS,
            )
            for n in range(2000)
        )
    }
    content = msgspec.json.encode(Wakes(open=open_wakes))
    await carrier.publish(wake("m-1", "pause", 3600))
    checkpoint = Checkpoint(version=1, position=1, blob=await blobs.put(carrier, "clock", content))
    headers = base_headers("own", "clock", "checkpoint", time.time_ns())
    body = msgspec.json.encode(checkpoint)
    await carrier.publish(Outgoing("coo.m.company.clock.checkpoint.clock", headers, body))
    async with ticking(await world.carrier()) as clock:
        await until(lambda: _counted(clock, 2000))


# -- its state ----------------------------------------------------------------------------------------------


def test_the_state_is_that_of_a_plain_list_however_wakes_come_and_go() -> None:
    for seed in range(300):
        chance, wakes, plain = Random(seed), OpenWakes(Wakes()), dict[str, OpenWake]()
        for seq in range(1, 120):
            mission = f"m-{chance.randint(1, 3)}" if chance.random() < 0.95 else COMPANY
            match chance.choice(["take", "take", "take", "take", "tick", "over", "restart", "due"]):
                case "take":
                    name = f"w-{chance.randint(0, 30)}"
                    one = OpenWake(
                        mission=mission,
                        sender="coo",
                        id=f"{seq}",
                        seq=seq,
                        time_ns=seq,
                        name=name,
                        at_ns=chance.randint(0, 200),
                    )
                    full = sum(other.mission == mission for other in plain.values()) >= MAX_WAKES
                    assert wakes.take(one) is (one.place in plain or not full)
                    if one.place in plain or not full:
                        plain.pop(one.place, None)
                        plain[one.place] = one
                case "tick" if plain:
                    one = chance.choice(list(plain.values()))
                    wakes.ticked(f"coo/{one.id}")
                    del plain[one.place]
                case "over":
                    wakes.over(mission, seq)
                    plain = {p: w for p, w in plain.items() if w.mission != mission or mission == COMPANY}
                case "restart":
                    wakes = OpenWakes(msgspec.json.decode(wakes.snapshot(), type=Wakes))
                case _:
                    first = min((one.at_ns for one in plain.values()), default=None)
                    assert wakes.next_ns() == first
                    due = wakes.due(seq)
                    assert (due is not None) is (first is not None and first <= seq)
                    assert due is None or due.at_ns == first
            assert msgspec.json.decode(wakes.snapshot(), type=Wakes).open == plain


def test_the_state_does_not_grow_with_wakes_that_are_replaced_or_over() -> None:
    wakes = OpenWakes(Wakes())
    for seq in range(20_000):
        mission = f"m-{seq // 10}"
        one = OpenWake(
            mission=mission,
            sender="coo",
            id=f"{seq}",
            seq=seq,
            time_ns=seq,
            name=f"{seq % 2}",
            at_ns=HOUR_NS + seq,
        )
        wakes.take(one)
        if seq % 10 == 9:
            wakes.over(mission, seq + 1)
    assert len(wakes) == len(wakes._by_id) == len(wakes._by_mission) == 0
    assert len(wakes._heap) < 300
