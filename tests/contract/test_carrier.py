"""What both carriers promise: writing once, reading in order, delivering until acked."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from contract_world import add, eventually

from bus import blobs
from bus.envelope import Outgoing
from bus.errors import BlobMismatch, Occupied
from bus.subjects import BLOB_STREAM, MAIL_STREAM
from bus.table import Ref


class Hands:
    """Collects deliveries and leaves them unhandled."""

    def __init__(self) -> None:
        self.got: list[Any] = []

    async def take(self, delivery: Any) -> None:
        self.got.append(delivery)

    async def take_and_ack(self, delivery: Any) -> None:
        self.got.append(delivery)
        delivery.ack()

    def numbers(self) -> list[int]:
        return [delivery.stored.seq for delivery in self.got]


async def test_a_message_reads_back_as_it_was_written(world: Any) -> None:
    carrier = await world.carrier()
    message = add(1)

    ack = await carrier.publish(message)
    stored = await carrier.get(MAIL_STREAM, ack.seq)

    assert (ack.seq, ack.duplicate) == (1, False)
    assert (stored.seq, stored.subject, stored.body) == (1, message.subject, message.body)
    assert dict(stored.headers) == dict(message.headers)
    assert await carrier.last(MAIL_STREAM, message.subject) == stored
    assert await carrier.read(MAIL_STREAM, "coo.m.>", 1) == [stored]


async def test_a_second_copy_is_dropped_and_names_the_first(world: Any) -> None:
    carrier = await world.carrier()
    await carrier.publish(add(1))
    await carrier.publish(add(2))

    assert await carrier.publish(add(1)) == (1, True)
    assert len(await carrier.read(MAIL_STREAM, "coo.m.>", 1)) == 2


async def test_reading_filters_by_subject_starts_where_told_and_stops_at_the_batch(world: Any) -> None:
    carrier = await world.carrier()
    for number in range(1, 8):
        await carrier.publish(add(number, mission=f"m-{number % 2}"))

    def numbers(page: list[Any]) -> list[int]:
        return [stored.seq for stored in page]

    assert numbers(await carrier.read(MAIL_STREAM, "coo.m.m-1.>", 1)) == [1, 3, 5, 7]
    assert numbers(await carrier.read(MAIL_STREAM, "coo.m.*.adder.add.ceo", 4, batch=2)) == [4, 5]
    assert numbers(await carrier.read(MAIL_STREAM, "coo.m.m-9.>", 1)) == []
    assert numbers(await carrier.read(MAIL_STREAM, "coo.m.>", 99)) == []
    assert await carrier.last(MAIL_STREAM, "coo.m.m-9.adder.add.ceo") is None
    assert await carrier.get(MAIL_STREAM, 99) is None


async def test_a_blob_subject_is_written_once(world: Any) -> None:
    carrier = await world.carrier()
    first = Outgoing("coo.b.adder.abc.0", {"Nats-Msg-Id": "one"}, b"first")

    await carrier.publish(first)

    with pytest.raises(Occupied):
        await carrier.publish(Outgoing("coo.b.adder.abc.0", {"Nats-Msg-Id": "two"}, b"second"))
    assert (await carrier.last(BLOB_STREAM, first.subject)).body == b"first"


@pytest.mark.parametrize("size", [0, 1, 512 * 1024, 512 * 1024 + 1, 1_300_000])
async def test_a_blob_of_any_size_comes_back_whole_also_when_stored_twice(world: Any, size: int) -> None:
    carrier = await world.carrier()
    content = (b"0123456789abcdef" * (size // 16 + 1))[:size]

    ref = await blobs.put(carrier, "adder", content)

    assert await blobs.put(carrier, "adder", content) == ref
    assert await blobs.get(carrier, ref) == content


async def test_a_blob_that_is_missing_or_not_what_its_name_says_is_refused(world: Any) -> None:
    carrier = await world.carrier()
    ref = await blobs.put(carrier, "adder", b"content")
    await carrier.publish(Outgoing(f"coo.b.adder.{'0' * 64}.0", {}, b"content"))

    for forged in (
        Ref(owner="desk", digest=ref.digest, size=ref.size),
        Ref(owner="adder", digest=ref.digest, size=3),
        Ref(owner="adder", digest="0" * 64, size=7),
        Ref(owner="adder", digest=ref.digest, size=2**60),
    ):
        with pytest.raises(BlobMismatch):
            await blobs.get(carrier, forged)


async def test_mail_is_delivered_in_order_and_not_again_once_acked(world: Any) -> None:
    carrier, hands = await world.carrier(), Hands()
    for number in range(1, 4):
        await carrier.publish(add(number))

    await carrier.consume(MAIL_STREAM, "adder", 10, hands.take_and_ack)
    await carrier.publish(add(4))
    await eventually(lambda: len(hands.got) == 4)
    await asyncio.sleep(1.5)

    assert hands.numbers() == [1, 2, 3, 4]
    assert [delivery.first for delivery in hands.got] == [True] * 4
    counts = [delivery.consumer_seq for delivery in hands.got]
    assert counts == list(range(counts[0], counts[0] + 4))


async def test_unacked_mail_comes_back_after_ack_wait_and_given_back_mail_at_once(world: Any) -> None:
    carrier, hands = await world.carrier(), Hands()
    await carrier.publish(add(1))
    await carrier.consume(MAIL_STREAM, "adder", 10, hands.take)

    await eventually(lambda: len(hands.got) == 2, timeout_s=4)
    hands.got[1].nak()
    await eventually(lambda: len(hands.got) == 3, timeout_s=0.8)

    assert [delivery.first for delivery in hands.got] == [True, False, False]
    hands.got[2].ack()


async def test_a_lease_is_kept_by_saying_in_progress(world: Any) -> None:
    carrier, hands = await world.carrier(), Hands()
    await carrier.publish(add(1))
    await carrier.consume(MAIL_STREAM, "adder", 10, hands.take)
    await eventually(lambda: len(hands.got) == 1)

    for _ in range(8):
        await asyncio.sleep(0.25)
        hands.got[0].in_progress()

    assert len(hands.got) == 1
    hands.got[0].ack()


async def test_no_more_is_delivered_than_the_window_holds(world: Any) -> None:
    carrier, hands = await world.carrier(), Hands()
    for number in range(1, 6):
        await carrier.publish(add(number))

    await carrier.consume(MAIL_STREAM, "adder", 2, hands.take)
    await eventually(lambda: len(hands.got) == 2)
    await asyncio.sleep(0.2)
    assert len(hands.got) == 2
    for delivery in list(hands.got):
        delivery.ack()
    await eventually(lambda: len(hands.got) == 4)

    for delivery in hands.got[2:]:
        delivery.ack()
    await eventually(lambda: len(hands.got) == 5)
    hands.got[4].ack()


async def test_two_processes_share_a_mailbox_and_each_mail_goes_to_one(world: Any) -> None:
    one, two = await world.carrier(), await world.carrier()
    hands = Hands()
    await one.consume(MAIL_STREAM, "adder", 1, hands.take_and_ack)
    await two.consume(MAIL_STREAM, "adder", 1, hands.take_and_ack)

    for number in range(1, 21):
        await one.publish(add(number))
    await eventually(lambda: len(hands.got) >= 20)

    assert sorted(hands.numbers()) == list(range(1, 21))


async def test_what_a_stopped_consumer_held_goes_to_the_next_one(world: Any) -> None:
    one, two = await world.carrier(), await world.carrier()
    held, hands = Hands(), Hands()
    consumer = await one.consume(MAIL_STREAM, "adder", 10, held.take)
    await one.publish(add(1))
    await eventually(lambda: len(held.got) == 1)

    await consumer.stop()
    held.got[0].nak()
    await two.consume(MAIL_STREAM, "adder", 10, hands.take_and_ack)

    await eventually(lambda: hands.numbers() == [1], timeout_s=0.9)


async def test_whoever_listens_hears_of_new_mail_of_its_mailbox_when_it_is_stored(world: Any) -> None:
    listener, writer = await world.carrier(), await world.carrier()
    heard: list[Any] = []
    await listener.listen("adder", heard.append)
    await listener.listen("desk", heard.append)
    await writer.publish(add(1))
    await eventually(lambda: len(heard) == 1)
    assert await listener.read(MAIL_STREAM, "coo.m.>", 1) == heard  # it is there when one hears of it

    await writer.publish(add(1))  # a second copy is no news
    await writer.publish(add(2))
    await eventually(lambda: len(heard) == 2)
    assert await listener.read(MAIL_STREAM, "coo.m.>", 1) == heard
