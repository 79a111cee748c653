"""What is delivered and what is read is one message, whatever bytes somebody put into it."""

from __future__ import annotations

import asyncio
from random import Random
from typing import Any

import pytest
from contract_adder import serving, sums, wait_for
from contract_world import TOY, add, eventually

from bus import deadletters
from bus.envelope import Stored, open_mail
from bus.errors import BadMail, ReadEndsEarly
from bus.ports import Behind
from bus.subjects import DLQ_STREAM, MAIL_STREAM

SUBJECT = b"coo.m.m-1.adder.add.ceo"
BODY = b'{"number":5}'

NAMES = [
    "Status",
    "Description",
    "Nats-Stream",
    "Nats-Sequence",
    "Nats-Subject",
    "Nats-Time-Stamp",
    "Nats-Num-Pending",
    "Nats-Last-Sequence",
    "Nats-Pending-Messages",
    "Nats-Pending-Bytes",
    "Nats-Last-Consumer",
    "Nats-Consumer-Stalled",
    "Nats-Last-Stream",
    "Nats-Msg-Id",
    "Nats-Expected-Stream",
    "Nats-Expected-Last-Msg-Id",
    "Nats-Expected-Last-Sequence",
    "Nats-Rollup",
    "Nats-TTL",
    "Nats-Incr",
    "Nats-Marker-Reason",
    "Nats-Schedule",
    "Nats-Schedule-Target",
    "Nats-Batch-Id",
    "Nats-Service-Error",
    "Nats-Service-Error-Code",
    "Nats-Response-Type",
    "Nats-UpTo-Sequence",
    "Nats-Trace-Dest",
    "ce-id",
    "ce-source",
    "ce-type",
    "ce-time",
    "coo-at",
    "coo-cause",
    "coo-version",
    "coo-retry-of",
    "coo-replay-of",
    "traceparent",
]
VALUES = ("404", "503", "204", "100", "7", "COO", "coo.m.m-2.adder.add.ceo", "x" * 5000, "", "9" * 4300)

ODD = (
    b"NATS/1.0 404 No Messages\r\n\r\n",
    b"NATS/1.0 503\r\n\r\n",
    b"NATS/1.0 204 EOB\r\nNats-Num-Pending: 0\r\n\r\n",
    b"NATS/1.0 40\xff d\xffe\r\nce-id: a\r\n\r\n",
    b"NATS/1.0\r\nce-id: \xff\xfe\x00\r\n\r\n",
    b"NATS/1.0\r\nno colon here\r\nce-id: a\r\n\r\n",
    b"NATS/1.0\r\nce-id: a\nStatus: 404\r\n\r\n",
    b"NATS/1.0\r\nce-id: a\r\r\nStatus: 404\r\n\r\n",
    b"NATS/1.0\r\nce-id: a\r\n",
    b"NATS/1.0\r\nce-id: a",
    b"NATS/1.0\r\n : \r\n\r\n",
    b"NATS/1.0\r\n\r\nce-id: a\r\n\r\n",
    b"NATS/1.0\r\n\r\n",
    b"NATS/1.0",
    b"\r\n",
    b"xy",
    b"garbage\r\nce-id: a\r\n\r\n",
    b"NATS/1.0\r\nce-id: a\r\nce-id: b\r\n\r\n",
    b"NATS/1.0\r\nce-id: a\r\nCE-ID: b\r\n\r\n",
    b"NATS/1.0\r\nce-id : a\r\n\r\n",
    b"NATS/1.0\r\nce-id:a\r\n\r\n",
    b"NATS/1.0\r\nce-id: a\r\nNats-Stream: COO\r\nNats-Subject: coo.m.m-2.adder.add.ceo\r\n"
    b"Nats-Sequence: 1\r\nNats-Time-Stamp: 2026-01-01T00:00:00Z\r\n"
    b"Nats-Num-Pending: 0\r\nNats-Last-Sequence: 0\r\n\r\n",
)
SUBJECTS = (
    b"coo.m.\xff.adder.add.ceo",
    b"coo.m.m-1\x0c1.adder.add.ceo",
    b"coo.m.m-1\x0b1.adder.add.ceo",
    b"coo.m.m-1\x001.adder.add.ceo",
    b"coo.m.\xc2\xa0.adder.add.ceo",
    b"coo.m.\x85.adder.add.ceo",
    b"coo.m.*.adder.add.ceo",
    b"coo.m." + b"x" * 3000 + b".adder.add.ceo",
)


def named(name: str, value: str) -> bytes:
    others = "" if name == "ce-id" else "ce-id: a\r\n"
    return f"NATS/1.0\r\n{others}{name}: {value}\r\n\r\n".encode()


async def every_way(world: Any, messages: list[tuple[bytes, bytes]]) -> None:
    """Write messages, and compare what is delivered with what each kind of read returns."""
    for subject, raw in messages:
        await world.write(subject, raw, BODY)
    carrier = await world.carrier()
    last = await carrier.publish(add(9, id="the-last"))
    got: list[Stored] = []

    async def take(delivery: Any) -> None:
        got.append(delivery.stored)
        delivery.ack()

    pull = await carrier.consume(MAIL_STREAM, "adder", 1000, take)
    await eventually(lambda: bool(got) and got[-1].seq == last.seq)
    await pull.stop()
    assert [stored.seq for stored in got] == list(range(1, last.seq + 1))
    assert await carrier.read(MAIL_STREAM, "coo.m.*.adder.>", 1) == got
    for batch in (1, 3):
        read, start = [], 1
        while page := await carrier.read(MAIL_STREAM, "coo.m.*.adder.>", start, batch):
            read += page
            start = page[-1].seq + 1
        assert read == got
    for stored in got:
        assert await carrier.get(MAIL_STREAM, stored.seq) == stored
    newest = {stored.subject: stored for stored in got if stored.subject.isascii()}
    for subject, stored in newest.items():
        if "*" not in subject and "\\" not in subject:
            assert await carrier.last(MAIL_STREAM, subject) == stored
    assert await carrier.newest(MAIL_STREAM, "coo.m.*.adder.>") == last.seq


@pytest.mark.parametrize("value", VALUES)
async def test_a_header_of_any_name_is_delivered_as_it_is_read(world: Any, value: str) -> None:
    await every_way(world, [(SUBJECT, named(name, value)) for name in NAMES])


async def test_headers_of_any_bytes_are_delivered_as_they_are_read(world: Any) -> None:
    await every_way(world, [(SUBJECT, raw) for raw in ODD])


async def test_a_subject_of_any_bytes_is_delivered_as_it_is_read(world: Any) -> None:
    await every_way(world, [(subject, named("coo-cause", "x")) for subject in SUBJECTS])


def noise(seed: int) -> list[tuple[bytes, bytes]]:
    """Make messages of pieces that mean something to a parser, and of bytes that mean nothing."""
    chance = Random(seed)
    pieces = [
        b"\r\n",
        b"\n",
        b"\r",
        b":",
        b" ",
        b"\t",
        b"\x0c",
        b"\x00",
        b"\xff",
        b"NATS/1.0",
        b" 404",
        b"Status: ",
    ]
    pieces += [f"{name}: ".encode() for name in NAMES if not name.startswith("Nats-Trace")]
    pieces += [value.encode() for value in VALUES[:7]]

    def raw() -> bytes:
        start = b"NATS/1.0\r\n" if chance.random() < 0.8 else b""
        middle = b"".join(chance.choice(pieces) for _ in range(chance.randint(0, 8)))
        end = b"\r\n\r\n" if chance.random() < 0.8 else b""
        whole = start + middle + end
        return whole if len(whole) != 1 else b""  # nats-server 2.15.1 dies of headers of one byte

    return [(chance.choice((SUBJECT, *SUBJECTS)), raw()) for _ in range(60)]


@pytest.mark.parametrize("seed", range(10))
async def test_noise_is_delivered_as_it_is_read(world: Any, seed: int) -> None:
    await every_way(world, noise(seed))


async def test_noise_stops_nobody_and_each_piece_of_it_is_a_dead_letter_with_a_reason(world: Any) -> None:
    written = {}
    for subject, raw in noise(77):
        if seq := await world.write(subject, raw, BODY):
            written[seq] = subject, raw
    carrier = await world.carrier()
    async with serving(await world.carrier()):
        await carrier.publish(add(7, mission="m-3"))
        await wait_for(lambda: sums(carrier, "m-3"), [7])
    log = await carrier.read(MAIL_STREAM, "coo.m.*.adder.>", 1, 1000)
    refused = set()
    for stored in log:
        try:
            open_mail(TOY, stored, stored.time_ns)
        except BadMail:
            refused.add(stored.seq)
    entries = [deadletters.entry_of(one) for one in await carrier.read(DLQ_STREAM, "coo.dlq.>", 1, 1000)]
    assert {entry.original_seq for entry in entries} == refused
    assert all(entry.reason in ("bad_subject", "bad_headers", "copied_message") for entry in entries)


async def test_a_read_that_ends_before_what_is_known_to_be_there_is_an_error_with_its_number(
    world: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bus.ports.BEHIND_S", 0.0)
    carrier = await world.carrier()
    await carrier.publish(add(1))
    second = await carrier.publish(add(2))
    reader = await world.carrier()
    honest = reader.read

    async def short(stream: str, pattern: str, start: int, batch: int = 256, **how: bool) -> list[Stored]:
        return [
            stored for stored in await honest(stream, pattern, start, batch, **how) if stored.seq < second.seq
        ]

    reader.read = short
    reader.ordered_reads = False
    with pytest.raises(ReadEndsEarly, match=f"message {second.seq} "):
        async with serving(reader) as task, asyncio.timeout(10):
            await task


async def test_waiting_for_a_reader_ends() -> None:
    behind = Behind("COO", 17)
    behind._times = 499
    await behind.wait()
    with pytest.raises(ReadEndsEarly, match="message 17 is in COO"):
        await behind.wait()
