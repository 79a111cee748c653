"""What the process of a role can write when it was taken over: it stops one key of that role at most."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import Any

import msgspec
import pytest
from contract_adder import ADDER, Total, doomed, serving, sums, wait_for
from contract_world import TOY, add

from bus import blobs, deadletters, subjects
from bus.envelope import Outgoing, base_headers, digest, open_letter
from bus.fold import Role
from bus.loops import checkpoints
from bus.loops.means import LoopSettings
from bus.loops.publisher import publish_surely
from bus.loops.releases import announce
from bus.subjects import BLOB_STREAM, DLQ_STREAM, MAIL_STREAM
from bus.table import Buried
from bus.verify import verify

CHECKPOINT = subjects.mail("m-1", "adder", "checkpoint", "adder")
STATE = b'{"state":{"total":1000},"now_ns":1,"count":1,"seen":{}}'
NOT_THERE = b'{"owner":"adder","digest":"' + b"0" * 64 + b'","size":70000}'
WILD = b'{"owner":"*","digest":"*","size":70000}'

FORGED = {
    "a version nobody announced": b'{"version":999,"position":1,"fold":%b}' % STATE,
    "a version of 4,300 digits": b'{"version":%b,"position":1,"fold":{}}' % (b"9" * 4300),
    "a negative version": b'{"version":-1,"position":1,"fold":{}}',
    "a position before the log": b'{"version":1,"position":-5,"fold":%b}' % STATE,
    "a position ahead of itself": b'{"version":1,"position":1000000,"fold":%b}' % STATE,
    "a position of 4,300 digits": b'{"version":1,"position":%b,"fold":{}}' % (b"1" * 4300),
    "not JSON": b"\xff\xfe",
    "nothing": b"",
    "of another shape": b'{"version":"one"}',
    "no state": b'{"version":1,"position":1}',
    "a state of another shape": b'{"version":1,"position":1,"fold":{"state":{"total":"x"}}}',
    "a state of 4,300 digits": b'{"version":1,"position":1,"fold":{"state":{"total":%b}}}' % (b"9" * 4300),
    "a blob that is not there": b'{"version":1,"position":1,"blob":%b}' % NOT_THERE,
    "a blob named by wildcards": b'{"version":1,"position":1,"blob":%b}' % WILD,
    "nested deep": b"[" * 5000,
}
SEEN_IN_IT = {name for name in FORGED if "blob" not in name}


def forged(body: bytes, n: int = 1) -> Outgoing:
    return Outgoing(CHECKPOINT, base_headers(f"forged-{n}", "adder", "checkpoint", 0), body)


@pytest.mark.parametrize("name", FORGED)
async def test_a_forged_checkpoint_stops_nobody_and_is_bad_mail_with_a_reason(world: Any, name: str) -> None:
    carrier = await world.carrier()
    async with serving(await world.carrier()):
        await carrier.publish(add(1))
        await wait_for(lambda: sums(carrier), [1])
    bad = await carrier.publish(forged(FORGED[name]))
    async with serving(await world.carrier()) as task:
        await carrier.publish(add(2))
        await carrier.publish(add(7, mission="m-2"))
        await wait_for(lambda: sums(carrier), [1, 3])
        await wait_for(lambda: sums(carrier, "m-2"), [7])
        assert not task.done()
    entries = [deadletters.entry_of(one) for one in await carrier.read(DLQ_STREAM, "coo.dlq.>", 1)]
    assert [entry.original_seq for entry in entries] == ([bad.seq] if name in SEEN_IN_IT else [])
    assert all(entry.reason and entry.error for entry in entries)
    log = await carrier.read(MAIL_STREAM, "coo.m.>", 1)
    found = verify(log, TOY, {"adder": ADDER}, lambda ref: None).findings
    assert {finding.seq for finding in found} == {bad.seq}


async def test_a_running_fold_meets_a_forged_checkpoint_as_one_that_starts_does(world: Any) -> None:
    carrier = await world.carrier()
    async with serving(await world.carrier()) as task:
        for n, body in enumerate(FORGED.values()):
            await carrier.publish(add(1, id=f"add-{n}"))
            await carrier.publish(forged(body, n))
        await wait_for(lambda: sums(carrier), list(range(1, len(FORGED) + 1)))
        assert not task.done()


async def test_a_forged_checkpoint_can_be_buried(world: Any) -> None:
    """A taken process can write a state that no code would: it is skipped like any mail."""
    carrier = await world.carrier()
    async with serving(await world.carrier()):
        await carrier.publish(add(1))
        await wait_for(lambda: sums(carrier), [1])
    bad = await carrier.publish(forged(b'{"version":1,"position":1,"fold":%b}' % STATE))
    burial = open_letter(
        TOY,
        sender="operator",
        to="adder",
        mission="m-1",
        message=Buried(seq=bad.seq, reason="forged"),
        id="burial",
        time_ns=0,
    )
    await carrier.publish(burial)
    async with serving(await world.carrier()):
        await carrier.publish(add(2))
        await wait_for(lambda: sums(carrier), [1, 3])


async def test_only_a_version_announced_before_it_is_believed(world: Any) -> None:
    carrier = await world.carrier()
    await carrier.publish(forged(FORGED["a version nobody announced"]))
    await announce(carrier, TOY, [replace(ADDER, version=999)])
    async with serving(await world.carrier()):
        await carrier.publish(add(1))
        await wait_for(lambda: sums(carrier), [1])
        await carrier.publish(forged(FORGED["a version nobody announced"], 2))
        await carrier.publish(add(2))
        await carrier.publish(add(7, mission="m-2"))
        await wait_for(lambda: sums(carrier, "m-2"), [7])
        assert await sums(carrier) == [1]


async def test_announcing_again_writes_nothing(world: Any) -> None:
    carrier = await world.carrier()
    assert await announce(carrier, TOY, [ADDER]) == ["version 1 of adder: announced"]
    assert await announce(carrier, TOY, [ADDER]) == []
    assert len(await carrier.read(MAIL_STREAM, "coo.m.company.adder.>", 1)) == 1


@pytest.mark.parametrize("version", ["x", "999", "9" * 4300, "-1", ""])
async def test_a_letter_that_names_a_version_stops_its_own_key_at_most(world: Any, version: str) -> None:
    carrier = await world.carrier()
    await carrier.publish(add(1))
    headers = base_headers("forged", "adder", "sum", 0) | {"coo-at": "1", "coo-version": version}
    await carrier.publish(Outgoing("coo.m.m-1.ceo.sum.adder", headers, b'{"total":5}'))
    newer: Role[Total] = replace(ADDER, version=2)
    async with serving(await world.carrier(), newer) as task:
        await carrier.publish(add(7, mission="m-2"))
        await wait_for(lambda: sums(carrier, "m-2"), [7])
        assert not task.done()
    log = await carrier.read(MAIL_STREAM, "coo.m.>", 1)
    findings = verify(log, TOY, {"adder": newer}, lambda ref: b"").findings
    assert 2 in {finding.seq for finding in findings}


async def test_a_squatted_id_of_a_dead_letter_does_not_suppress_it(world: Any) -> None:
    carrier = await world.carrier()
    squatted = digest("dead", "adder", 1)
    noise = Outgoing("coo.dlq.desk.m-1", {"Nats-Msg-Id": squatted, "ce-id": squatted}, b"noise")
    await carrier.publish(noise)
    async with serving(await world.carrier()):
        await carrier.publish(Outgoing(add(1).subject, {"ce-id": "bad"}, b"not json"))
        await carrier.publish(add(2))
        await wait_for(lambda: sums(carrier), [2])

        async def dead() -> int:
            return len(await carrier.read(DLQ_STREAM, "coo.dlq.adder.m-1", 1))

        await wait_for(dead, 1)


async def test_a_squatted_id_of_a_blob_does_not_suppress_it(world: Any) -> None:
    carrier = await world.carrier()
    content = b"x" * 1000
    name = subjects.blob_chunk("adder", hashlib.sha256(content).hexdigest(), 0)
    await carrier.publish(Outgoing("coo.b.desk.x.0", {"Nats-Msg-Id": name}, b"noise"))
    ref = await blobs.put(carrier, "adder", content)
    assert await blobs.get(carrier, ref) == content
    assert await blobs.put(carrier, "adder", content) == ref
    assert len(await carrier.read(BLOB_STREAM, "coo.b.adder.>", 1)) == 1


@pytest.mark.parametrize("stream", ["coo.dlq.adder.m-1", "coo.m.m-1.ceo.sum.adder"])
async def test_a_duplicate_is_compared_in_every_stream(world: Any, stream: str) -> None:
    carrier = await world.carrier()
    squat = "coo.dlq.desk.m-1" if "dlq" in stream else "coo.m.m-1.desk.sum.adder"
    await carrier.publish(Outgoing(squat, {"Nats-Msg-Id": "id", "ce-id": "id"}, b"noise"))
    letter = Outgoing(stream, {"Nats-Msg-Id": "id", "ce-id": "id"}, b"mine")
    seq = await publish_surely(carrier, letter)
    stored = await carrier.get(DLQ_STREAM if "dlq" in stream else MAIL_STREAM, seq)
    assert (stored.subject, stored.body) == (stream, b"mine")


async def test_the_last_good_checkpoint_is_found_behind_many_bad_ones(world: Any) -> None:
    carrier = await world.carrier()
    async with serving(await world.carrier(), settings=LoopSettings(ack_wait_s=1.0, checkpoint_every=1)):
        await carrier.publish(add(1))
        await wait_for(lambda: sums(carrier), [1])
    for n, body in enumerate(FORGED.values()):
        await carrier.publish(forged(body, n))
    start = await checkpoints.load(carrier, TOY, ADDER, "m-1")
    assert (start.version, start.fold.position, start.fold.state) == (1, 1, Total(total=1))
    async with doomed(world):
        await carrier.publish(add(2))
        await wait_for(lambda: sums(carrier), [1, 3])
    assert msgspec.json.decode((await carrier.last(MAIL_STREAM, add(2).subject)).body) == {"number": 2}
