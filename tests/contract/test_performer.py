"""What the performer loop promises on either carrier: the first answer wins, and paused work is dropped."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest
from contract_world import eventually

from bus.dataref import MAX_CONTENT_BYTES
from bus.envelope import Mail, Outgoing, open_letter
from bus.loops import performer as performing
from bus.loops.halts import Halt
from bus.loops.performer import PerformerLoop
from bus.server import setup
from bus.server.topology import topology
from bus.subjects import DLQ_STREAM, MAIL_STREAM
from bus.table import Error, Halts, Mailbox, Row, Table


class Dig(msgspec.Struct, frozen=True, kw_only=True):
    """Dig so deep; 13 makes the digger raise, 99 never ends."""

    depth: int


class Dug(msgspec.Struct, frozen=True, kw_only=True):
    depth: int = 0
    dropped_at: int = 0
    mud: str = ""


class Said(msgspec.Struct, frozen=True, kw_only=True):
    stop: bool
    at: int
    over: bool = False


TABLE = Table(
    rows=(
        Row(kind="dig", sender="desk", to="digger", message=Dig),
        Row(kind="dug", sender="digger", to="desk", message=Dug),
        Row(kind="said", sender="desk", to="ceo", message=Said),
        Row(kind="error", sender="digger", to="desk", message=Error),
    ),
    mailboxes=(
        Mailbox(name="digger", process="digger", orders=("dig",)),
        Mailbox(name="desk", process="desk"),
    ),
    people=("ceo",),
    errors_to="desk",
)
HALTS = Halts(
    sender="desk",
    to="ceo",
    kind="said",
    at=lambda said: said.at,
    halted=lambda said: said.stop,
    final=lambda said: said.over,
)


class Digger:
    """Digs at once, or for ever."""

    name = "digger"
    version = 1

    def __init__(self) -> None:
        self.started: list[int] = []
        self.cancelled = 0
        self.closed = False

    async def perform(self, order: Mail) -> msgspec.Struct:
        assert isinstance(order.message, Dig)
        depth = order.message.depth
        self.started.append(depth)
        if depth == 13:
            raise ValueError("hit water")
        if depth == 70:
            return Dug(depth=depth, mud="x" * 70_000)
        if depth == 71:
            return Dug(depth=depth, mud="x" * MAX_CONTENT_BYTES)
        if depth == 99:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                self.cancelled += 1
                raise
        return Dug(depth=depth)

    def dropped(self, order: Mail, halt: Halt) -> msgspec.Struct:
        return Dug(dropped_at=halt.at, mud="for good" if halt.final else "")

    def failed(self, order: Mail, why: str) -> msgspec.Struct:
        return Dug(mud=why)

    async def close(self) -> None:
        self.closed = True


@pytest.fixture
def toy_table() -> Table:
    return TABLE


def letter(message: msgspec.Struct, id: str, to: str = "digger") -> Outgoing:
    return open_letter(
        TABLE, sender="desk", to=to, mission="m-1", message=message, id=id, time_ns=time.time_ns()
    )


@asynccontextmanager
async def digging(
    carrier: Any, digger: Digger, slots: int = 4, deaths: Any = None
) -> AsyncIterator[asyncio.Task[None]]:
    stop = asyncio.Event()
    loop = PerformerLoop(
        digger, TABLE, carrier, halts=HALTS, slots=slots, ack_wait_s=1.0, watch_s=0.05, deaths=deaths
    )
    task = asyncio.create_task(loop.run(stop))
    try:
        yield task
    finally:
        stop.set()
        await asyncio.gather(task, return_exceptions=True)


async def answers(carrier: Any) -> list[Dug]:
    found = await carrier.read(MAIL_STREAM, "coo.m.m-1.desk.dug.digger", 1)
    return [msgspec.json.decode(one.text, type=Dug) for one in found]


async def wait_for_answers(carrier: Any, wanted: list[Dug]) -> None:
    async with asyncio.timeout(6):
        while await answers(carrier) != wanted:
            await asyncio.sleep(0.02)


async def test_an_order_is_answered_once_and_names_what_it_answers(world: Any) -> None:
    carrier, digger = await world.carrier(), Digger()
    async with digging(await world.carrier(), digger):
        await carrier.publish(letter(Dig(depth=3), "o-1"))
        await wait_for_answers(carrier, [Dug(depth=3)])
    (answer,) = await carrier.read(MAIL_STREAM, "coo.m.m-1.desk.dug.digger", 1)
    assert answer.headers["coo-cause"] == "desk/o-1"


async def test_an_order_that_comes_again_while_it_is_performed_here_is_not_performed_twice(
    world: Any,
) -> None:
    carrier, digger, stop = await world.carrier(), Digger(), asyncio.Event()
    loop = PerformerLoop(
        digger, TABLE, await world.carrier(), halts=HALTS, ack_wait_s=60.0, watch_s=0.05
    )  # it keeps its leases as if the consumer waited for a minute: they run out after a second
    task = asyncio.create_task(loop.run(stop))
    await carrier.publish(letter(Dig(depth=99), "o-1"))
    await eventually(lambda: [len(same) for same in loop._tasks.values()] == [2])
    await carrier.publish(letter(Said(stop=True, at=41), "s-1", to="ceo"))
    await wait_for_answers(carrier, [Dug(dropped_at=41)])
    await eventually(lambda: not loop._tasks)
    stop.set()
    await task
    assert digger.started == [99]


async def test_an_order_with_an_answer_in_the_log_is_not_performed_again(world: Any) -> None:
    carrier, digger = await world.carrier(), Digger()
    await carrier.publish(letter(Dig(depth=3), "o-1"))
    headers = {"ce-id": "a-1", "Nats-Msg-Id": "a-1", "coo-cause": "desk/o-1"}
    await carrier.publish(Outgoing("coo.m.m-1.desk.dug.digger", headers, b'{"depth":7}'))

    async with digging(await world.carrier(), digger):
        await carrier.publish(letter(Dig(depth=4), "o-2"))
        await wait_for_answers(carrier, [Dug(depth=7), Dug(depth=4)])
    assert digger.started == [4]


async def test_a_copy_of_an_order_that_was_answered_before_the_copy_is_not_performed(world: Any) -> None:
    carrier, digger = await world.carrier(), Digger()
    decided_at = await carrier.publish(letter(Said(stop=False, at=0), "s", to="ceo"))
    order = letter(Dig(depth=3), "o-1")
    order = Outgoing(order.subject, {**order.headers, "coo-at": str(decided_at.seq)}, order.body)
    async with digging(await world.carrier(), digger):
        await carrier.publish(order)
        await wait_for_answers(carrier, [Dug(depth=3)])
        await carrier.publish(order.under_id("written again after the duplicate window"))
        await carrier.publish(letter(Dig(depth=4), "o-2"))
        await wait_for_answers(carrier, [Dug(depth=3), Dug(depth=4)])
    assert digger.started == [3, 4]


async def test_of_two_performers_at_one_order_the_first_answer_wins(world: Any) -> None:
    carrier = await world.carrier()
    one, two = Digger(), Digger()
    two.perform = lambda order: _deeper()
    slow = PerformerLoop(one, TABLE, await world.carrier(), halts=HALTS)
    fast = PerformerLoop(two, TABLE, await world.carrier(), halts=HALTS)
    await carrier.publish(letter(Dig(depth=5), "o-1"))
    stored = await carrier.get(MAIL_STREAM, 1)

    await asyncio.gather(slow._answer(stored), fast._answer(stored))

    assert await answers(carrier) in ([Dug(depth=5)], [Dug(depth=6)])


async def _deeper() -> msgspec.Struct:
    return Dug(depth=6)


async def test_a_big_answer_comes_as_it_is(world: Any) -> None:
    carrier, digger = await world.carrier(), Digger()
    async with digging(await world.carrier(), digger):
        await carrier.publish(letter(Dig(depth=70), "o-1"))
        await wait_for_answers(carrier, [Dug(depth=70, mud="x" * 70_000)])


async def test_an_answer_that_is_too_big_is_a_dead_letter_and_whoever_waits_is_told(world: Any) -> None:
    carrier, digger = await world.carrier(), Digger()
    async with digging(await world.carrier(), digger):
        await carrier.publish(letter(Dig(depth=71), "o-1"))
        async with asyncio.timeout(3):
            while not (found := await answers(carrier)):
                await asyncio.sleep(0.02)
        await carrier.publish(letter(Dig(depth=2), "o-2"))
        await wait_for_answers(carrier, [*found, Dug(depth=2)])
        assert "its answer cannot be sent: a Dug of" in found[0].mud
        async with asyncio.timeout(3):
            while not (dead := await carrier.read(DLQ_STREAM, "coo.dlq.digger.m-1", 1)):
                await asyncio.sleep(0.02)
    assert dead[0].headers["coo-dlq-reason"] == "bad_answer"


async def test_work_of_a_mission_that_is_stopped_is_dropped_and_says_which_status_it_obeyed(
    world: Any,
) -> None:
    carrier, digger = await world.carrier(), Digger()
    async with digging(await world.carrier(), digger):
        await carrier.publish(letter(Dig(depth=99), "o-1"))
        await eventually(lambda: digger.started == [99])
        await carrier.publish(letter(Said(stop=True, at=41), "s-1", to="ceo"))
        await wait_for_answers(carrier, [Dug(dropped_at=41)])
    assert digger.cancelled == 1


async def test_work_of_a_mission_that_is_over_is_not_begun_and_its_drop_says_that_it_is_for_good(
    world: Any,
) -> None:
    carrier, digger = await world.carrier(), Digger()
    await carrier.publish(letter(Said(stop=True, at=41), "s-1", to="ceo"))
    async with digging(await world.carrier(), digger):
        await carrier.publish(letter(Dig(depth=1), "o-1"))
        await wait_for_answers(carrier, [Dug(dropped_at=41)])
        await carrier.publish(letter(Said(stop=True, at=42, over=True), "s-2", to="ceo"))
        await carrier.publish(letter(Dig(depth=2), "o-2"))
        await wait_for_answers(carrier, [Dug(dropped_at=41), Dug(dropped_at=42, mud="for good")])
    assert digger.started == []


async def test_nobody_is_told_of_a_bad_order_of_a_mission_that_is_over(world: Any) -> None:
    carrier, digger = await world.carrier(), Digger()
    await carrier.publish(letter(Said(stop=True, at=42, over=True), "s-1", to="ceo"))
    async with digging(await world.carrier(), digger):
        await carrier.publish(Outgoing(DIG, {"ce-id": "o-1"}, b"not json"))
        async with asyncio.timeout(6):
            while not await carrier.read(DLQ_STREAM, "coo.dlq.digger.m-1", 1):
                await asyncio.sleep(0.02)
    assert await carrier.read(MAIL_STREAM, "coo.m.m-1.desk.error.digger", 1) == []


async def test_a_mission_that_gives_orders_without_end_gets_no_work_and_then_no_answer(
    world: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The log is what is counted, so a process that starts anew goes on where the last one was."""
    monkeypatch.setattr(performing, "MOST_ORDERS", 3)
    carrier, first, second = await world.carrier(), Digger(), Digger()
    refused = Dug(mud="the mission has given more than 3 orders")
    wanted = [Dug(depth=n) for n in range(3)] + [refused] * 3
    for n in range(2):
        await carrier.publish(letter(Dig(depth=n), f"o-{n}"))
    async with digging(await world.carrier(), first, slots=1):
        await wait_for_answers(carrier, wanted[:2])
    for n in range(2, 9):
        await carrier.publish(letter(Dig(depth=n), f"o-{n}"))
    other = open_letter(
        TABLE, sender="desk", to="digger", mission="m-2", message=Dig(depth=50), id="other", time_ns=1
    )
    await carrier.publish(other)
    async with digging(await world.carrier(), second, slots=1):
        await eventually(lambda: 50 in second.started, timeout_s=6)
        await wait_for_answers(carrier, wanted)
    assert (first.started, second.started) == ([0, 1], [2, 50])


async def test_of_two_states_the_one_decided_later_holds_in_whatever_order_they_come(world: Any) -> None:
    carrier, digger = await world.carrier(), Digger()
    await carrier.publish(letter(Said(stop=False, at=50), "s-2", to="ceo"))
    await carrier.publish(letter(Said(stop=True, at=41), "s-1", to="ceo"))
    async with digging(await world.carrier(), digger):
        await carrier.publish(letter(Dig(depth=2), "o-1"))
        await wait_for_answers(carrier, [Dug(depth=2)])


async def test_a_performer_that_raises_leaves_a_dead_letter_and_goes_on(world: Any) -> None:
    carrier, digger = await world.carrier(), Digger()
    async with digging(await world.carrier(), digger):
        await carrier.publish(letter(Dig(depth=13), "o-1"))
        await carrier.publish(Outgoing("coo.m.m-1.digger.dig.desk", {"ce-id": "o-2"}, b"not json"))
        await carrier.publish(letter(Dig(depth=2), "o-3"))
        await wait_for_answers(carrier, [Dug(depth=2)])
        async with asyncio.timeout(3):
            while len(await carrier.read(DLQ_STREAM, "coo.dlq.digger.m-1", 1)) < 2:
                await asyncio.sleep(0.02)
    dead = await carrier.read(DLQ_STREAM, "coo.dlq.digger.m-1", 1)
    assert {one.headers["coo-dlq-reason"] for one in dead} == {"raised", "undecodable"}
    errors = await carrier.read(MAIL_STREAM, "coo.m.m-1.desk.error.digger", 1)
    assert len(errors) == 2


DIG = "coo.m.m-1.digger.dig.desk"
BAD_ORDERS = {
    "undecodable": Outgoing(DIG, {"ce-id": "x"}, b"\xff"),
    "too_deep": Outgoing(DIG, {"ce-id": "x"}, b"[" * 5000),
    "too_big": Outgoing(DIG, {"ce-id": "x"}, b'{"depth":1}' + b" " * 70_000),
    "not_in_table": Outgoing("coo.m.m-1.digger.dig.ceo", {"ce-id": "x"}, b'{"depth":1}'),
    "bad_subject": Outgoing(f"{DIG}.more", {"ce-id": "x"}, b'{"depth":1}'),
    "bad_headers": Outgoing(DIG, {}, b'{"depth":1}'),
    "copied_message": Outgoing(DIG, {"ce-id": "x", "Nats-Stream": "COO"}, b'{"depth":1}'),
}


@pytest.mark.parametrize("reason", BAD_ORDERS)
async def test_a_bad_order_ends_in_the_dead_letters_and_is_not_performed(world: Any, reason: str) -> None:
    carrier, digger = await world.carrier(), Digger()
    async with digging(await world.carrier(), digger):
        await carrier.publish(BAD_ORDERS[reason])
        await carrier.publish(letter(Dig(depth=4), "o-1"))
        await wait_for_answers(carrier, [Dug(depth=4)])
        async with asyncio.timeout(6):
            while not (dead := await carrier.read(DLQ_STREAM, "coo.dlq.digger.m-1", 1)):
                await asyncio.sleep(0.02)
    assert [one.headers["coo-dlq-reason"] for one in dead] == [reason]
    (error,) = await carrier.read(MAIL_STREAM, "coo.m.m-1.desk.error.digger", 1)
    assert msgspec.json.decode(error.body, type=Error).reason == reason
    assert digger.started == [4]


async def test_a_stopped_performer_gives_its_order_to_another(world: Any) -> None:
    carrier, first, second = await world.carrier(), Digger(), Digger()
    async with digging(await world.carrier(), first):
        await carrier.publish(letter(Dig(depth=99), "o-1"))
        await eventually(lambda: first.started == [99])
    assert (first.cancelled, first.closed) == (1, True)

    async with digging(await world.carrier(), second):
        await eventually(lambda: second.started == [99], timeout_s=0.9)


async def test_a_long_order_keeps_its_lease(world: Any) -> None:
    carrier, digger = await world.carrier(), Digger()
    async with digging(await world.carrier(), digger):
        await carrier.publish(letter(Dig(depth=99), "o-1"))
        await asyncio.sleep(2.5)
        assert digger.started == [99]


def test_the_consumer_of_a_performer_gets_orders_only() -> None:
    (consumer, _) = topology(TABLE).consumers
    assert consumer.filters == ("coo.m.*.digger.dig.>",)
    assert setup.consumer_config(consumer)["filter_subject"] == "coo.m.*.digger.dig.>"


class Book:
    """Three strikes against some orders, and what is marked when."""

    def __init__(self, deadly: set[int]) -> None:
        self.deadly = deadly
        self.marked = 0
        self.forgiven: list[int] = []

    def enter(self, mailbox: str, seq: int) -> None:
        assert mailbox == "digger"
        assert not self.marked
        self.marked = seq

    def leave(self) -> None:
        self.marked = 0

    def strike(self, mailbox: str, seq: int) -> None:
        self.deadly.add(seq)

    def strikes(self, mailbox: str, seq: int) -> int:
        return 3 if seq in self.deadly else 0

    def forgive(self, mailbox: str, seq: int) -> None:
        self.forgiven.append(seq)


async def test_an_order_that_killed_three_times_is_answered_as_failed_without_a_fourth(world: Any) -> None:
    carrier, digger = await world.carrier(), Digger()
    deadly = (await carrier.publish(letter(Dig(depth=5), "o-1"))).seq
    book = Book({deadly})
    async with digging(await world.carrier(), digger, deaths=book):
        healthy = (await carrier.publish(letter(Dig(depth=6), "o-2"))).seq
        async with asyncio.timeout(6):
            while len(await answers(carrier)) < 2 or len(book.forgiven) < 2:
                await asyncio.sleep(0.02)
    found = sorted(await answers(carrier), key=lambda dug: dug.depth)
    assert found == [Dug(mud="killed the performer three times"), Dug(depth=6)]
    assert digger.started == [6]
    assert sorted(book.forgiven) == [deadly, healthy]
    (entry,) = await carrier.read(DLQ_STREAM, "coo.dlq.digger.m-1", 1)
    assert entry.headers["coo-dlq-reason"] == "killed"
    assert entry.body == b'{"depth":5}'


async def test_only_the_order_whose_step_runs_is_marked(world: Any) -> None:
    carrier, book = await world.carrier(), Book(set())
    marks: dict[int, int] = {}

    class Marking(Digger):
        async def perform(self, order: Mail) -> msgspec.Struct:
            for _ in range(3):
                marks[order.seq] = book.marked
                await asyncio.sleep(0.01)
            assert book.marked == order.seq
            return await super().perform(order)

    async with digging(await world.carrier(), Marking(), deaths=book):
        seqs = [(await carrier.publish(letter(Dig(depth=n), f"o-{n}"))).seq for n in range(1, 4)]
        async with asyncio.timeout(6):
            while len(await answers(carrier)) < 3:
                assert book.marked == 0
                await asyncio.sleep(0.005)
    assert marks == {seq: seq for seq in seqs}
