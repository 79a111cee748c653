"""Mail that kills: three strikes put it aside, the operator buries it, and every fold agrees about that."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest
from contract_world import TOY, Add, Sum, add

from bus.envelope import Letter, Mail, Outgoing, open_letter
from bus.fold import Role, Step
from bus.loops.means import LoopSettings
from bus.loops.role import RoleLoop
from bus.subjects import DLQ_STREAM, MAIL_STREAM
from bus.table import Buried, Mailbox, Row, Table
from bus.verify import verify

TABLE = Table(
    rows=(*TOY.rows, Row(kind="buried", sender="operator", to="adder", message=Buried)),
    mailboxes=TOY.mailboxes,
    people=TOY.people,
    errors_to=TOY.errors_to,
)
PER_COMPANY = Table(
    rows=TABLE.rows,
    mailboxes=(Mailbox(name="adder", process="adder", per="company"), *TOY.mailboxes[1:]),
    people=TOY.people,
    errors_to=TOY.errors_to,
)
DEADLY = 666


class Died(BaseException):
    """Stands for the end of the process."""


class Total(msgspec.Struct, frozen=True, kw_only=True):
    total: int = 0


def handle(state: Total, mail: Mail) -> Step:
    assert isinstance(mail.message, Add)
    if mail.message.number == DEADLY:
        raise Died
    total = Total(total=state.total + mail.message.number)
    return Step(total, [Letter(to="ceo", message=Sum(total=total.total))])


def immune(state: Total, mail: Mail) -> Step:
    assert isinstance(mail.message, Add)
    total = Total(total=state.total + mail.message.number)
    return Step(total, [Letter(to="ceo", message=Sum(total=total.total))])


ADDER: Role[Total] = Role(name="adder", version=1, state=Total, handle=handle)
SETTINGS = LoopSettings(ack_wait_s=1.0, drain_s=3.0)


class Book:
    """Strikes that outlive the loops of a test, and what is marked now."""

    def __init__(self) -> None:
        self.counts: Counter[tuple[str, int]] = Counter()
        self.marked: tuple[str, int] | None = None

    def enter(self, mailbox: str, seq: int) -> None:
        assert self.marked is None
        self.marked = (mailbox, seq)

    def leave(self) -> None:
        self.marked = None

    def strike(self, mailbox: str, seq: int) -> None:
        self.counts[mailbox, seq] += 1

    def strikes(self, mailbox: str, seq: int) -> int:
        return self.counts[mailbox, seq]

    def forgive(self, mailbox: str, seq: int) -> None:
        self.counts.pop((mailbox, seq), None)


@pytest.fixture
def toy_table() -> Table:
    return TABLE


@asynccontextmanager
async def serving(
    carrier: Any, book: Book, role: Role[Any] = ADDER, table: Table = TABLE, settings: LoopSettings = SETTINGS
) -> AsyncIterator[asyncio.Task[None]]:
    stop = asyncio.Event()
    task = asyncio.create_task(RoleLoop(role, table, carrier, settings, book).run(stop))
    try:
        yield task
    finally:
        stop.set()
        await asyncio.gather(task, return_exceptions=True)


def bury(seq: int, mission: str = "m-1") -> Outgoing:
    return open_letter(
        TABLE,
        sender="operator",
        to="adder",
        mission=mission,
        message=Buried(seq=seq, reason="it kills"),
        id=f"bury-{seq}",
        time_ns=time.time_ns(),
    )


async def sums(carrier: Any, mission: str = "m-1") -> list[int]:
    stored = await carrier.read(MAIL_STREAM, f"coo.m.{mission}.ceo.sum.adder", 1)
    return [msgspec.json.decode(one.body, type=Sum).total for one in stored]


async def become(look: Any, wanted: object, timeout_s: float = 8.0) -> None:
    async with asyncio.timeout(timeout_s):
        while (found := await look()) != wanted:
            await asyncio.sleep(0.02)
    assert found == wanted


async def dead(carrier: Any) -> list[tuple[str, str, bytes]]:
    found = await carrier.read(DLQ_STREAM, "coo.dlq.>", 1)
    heads = [stored.headers for stored in found]
    return [
        (head["coo-dlq-seq"], head["coo-dlq-reason"], stored.body)
        for head, stored in zip(heads, found, strict=True)
    ]


async def publish_poisoned(carrier: Any, book: Book) -> int:
    """Publish 1, the deadly one and 2, with three strikes against the deadly one; return its sequence."""
    await carrier.publish(add(1))
    seq = int((await carrier.publish(add(DEADLY))).seq)
    for _ in range(3):
        book.strike("adder", seq)
    await carrier.publish(add(2))
    return seq


async def test_three_strikes_stop_the_key_before_that_mail_and_nothing_else(world: Any) -> None:
    carrier, book = await world.carrier(), Book()
    seq = await publish_poisoned(carrier, book)
    async with serving(await world.carrier(), book):
        for number in (3, 4):
            await carrier.publish(add(number, mission="m-2"))
        await become(lambda: sums(carrier, "m-2"), [3, 7])
        await become(lambda: sums(carrier), [1])
        complaints = await carrier.read(MAIL_STREAM, "coo.m.m-1.desk.error.adder", 1)
        told = [msgspec.json.decode(one.body) for one in complaints]
        assert [(one["seq"], one["reason"]) for one in told] == [(seq, "quarantined")]
        assert f"coo bury {seq}" in told[0]["detail"]
    assert book.strikes("adder", seq) == 3


async def test_buried_mail_is_skipped_and_copied_and_the_key_goes_on_at_once(world: Any) -> None:
    carrier, book = await world.carrier(), Book()
    seq = await publish_poisoned(carrier, book)
    async with serving(await world.carrier(), book), serving(await world.carrier(), book):
        await become(lambda: sums(carrier), [1])
        await carrier.publish(bury(seq))
        await become(lambda: sums(carrier), [1, 3])
        await carrier.publish(add(5))
        await become(lambda: sums(carrier), [1, 3, 8])
    assert await dead(carrier) == [(str(seq), "buried", b'{"number":666}')]


async def test_a_process_that_starts_afterwards_never_decides_what_was_buried(world: Any) -> None:
    carrier, book = await world.carrier(), Book()
    seq = await publish_poisoned(carrier, book)
    await carrier.publish(bury(seq))
    async with serving(await world.carrier(), Book()):  # without a strike to warn it
        await become(lambda: sums(carrier), [1, 3])
    async with serving(await world.carrier(), Book()):  # on the checkpoint of the one before
        await carrier.publish(add(5))
        await become(lambda: sums(carrier), [1, 3, 8])
    assert await dead(carrier) == [(str(seq), "buried", b'{"number":666}')]
    mail = await carrier.read(MAIL_STREAM, "coo.m.>", 1)
    assert verify(mail, TABLE, {"adder": ADDER}, lambda ref: b"").findings == ()


async def test_burying_what_was_decided_stops_the_key_and_publishes_nothing_else(world: Any) -> None:
    carrier = await world.carrier()
    brave: Role[Total] = Role(name="adder", version=1, state=Total, handle=immune)
    async with serving(await world.carrier(), Book(), brave):
        seq = 0
        for number in (1, DEADLY, 2):
            ack = await carrier.publish(add(number))
            seq = ack.seq if number == DEADLY else seq
        await become(lambda: sums(carrier), [1, 667, 669])
        await carrier.publish(bury(seq))

        async def reasons() -> list[str]:
            complaints = await carrier.read(MAIL_STREAM, "coo.m.m-1.desk.error.adder", 1)
            return [msgspec.json.decode(one.body)["reason"] for one in complaints]

        await become(reasons, ["decision_changed"])
    assert await sums(carrier) == [1, 667, 669]


async def test_a_checkpoint_from_before_the_burial_is_not_used(world: Any) -> None:
    carrier = await world.carrier()
    brave: Role[Total] = Role(name="adder", version=1, state=Total, handle=immune)
    async with serving(await world.carrier(), Book(), brave):
        (seq,) = [(await carrier.publish(add(DEADLY))).seq]
        await become(lambda: sums(carrier), [666])
    await carrier.publish(bury(seq))
    seen: list[int] = []

    def noting(state: Total, mail: Mail) -> Step:
        seen.append(mail.seq)
        return Step(state)

    async with serving(
        await world.carrier(), Book(), Role(name="adder", version=1, state=Total, handle=noting)
    ):
        last = (await carrier.publish(add(1))).seq

        async def decided() -> list[int]:
            return seen

        await become(decided, [last])


async def test_a_mailbox_of_the_whole_company_decides_nothing_more_until_the_burial(world: Any) -> None:
    carrier, book = await world.carrier(), Book()
    seq = await publish_poisoned(carrier, book)
    async with serving(await world.carrier(), book, table=PER_COMPANY) as task:
        await become(lambda: sums(carrier), [1])
        await carrier.publish(add(4, mission="m-2"))

        async def complaints() -> list[int]:
            found = await carrier.read(MAIL_STREAM, "coo.m.m-1.desk.error.adder", 1)
            return [msgspec.json.decode(one.body)["seq"] for one in found]

        await become(complaints, [seq])
        assert await sums(carrier, "m-2") == []
        assert not task.done()
        await carrier.publish(bury(seq))
        await become(lambda: sums(carrier), [1, 3])
        await become(lambda: sums(carrier, "m-2"), [7])


async def test_strikes_below_three_are_forgiven_when_the_mail_is_handled(world: Any) -> None:
    carrier, book = await world.carrier(), Book()
    seq = (await carrier.publish(add(1))).seq
    for _ in range(2):
        book.strike("adder", seq)
    async with serving(await world.carrier(), book):
        await become(lambda: sums(carrier), [1])
    assert book.strikes("adder", seq) == 0
    assert book.marked is None


@pytest.mark.parametrize("error", [MemoryError, RecursionError])
async def test_what_is_no_outcome_is_a_strike_and_ends_the_process(
    world: Any, error: type[Exception]
) -> None:
    def fail(state: Total, mail: Mail) -> Step:
        raise error

    carrier, book = await world.carrier(), Book()
    seq = (await carrier.publish(add(1))).seq
    role: Role[Total] = Role(name="adder", version=1, state=Total, handle=fail)
    async with serving(await world.carrier(), book, role) as task:
        await asyncio.wait([task], timeout=8)
        assert isinstance(task.exception(), error)
    assert book.strikes("adder", seq) == 1
