"""What the role loop promises on either carrier: each letter once, whatever happens to processes."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import msgspec
import pytest
from contract_adder import ADDER, UNLUCKY, Total, doomed, handle, serving, sums, wait_for
from contract_world import TOY, Sum, add, eventually

from bus import deadletters
from bus.envelope import Letter, Mail, Outgoing, digest
from bus.fold import Role, Step
from bus.loops.means import LoopSettings
from bus.loops.releases import announce
from bus.loops.role import RoleLoop
from bus.subjects import DLQ_STREAM, MAIL_STREAM


def dishonest(state: Total, mail: Mail) -> Step:
    return Step(state, [Letter(to="ceo", message=Sum(total=-1))])


async def test_every_mail_is_decided_once_and_in_order(world: Any) -> None:
    carrier = await world.carrier()
    async with serving(await world.carrier()):
        for number in range(1, 6):
            await carrier.publish(add(number))
        await wait_for(lambda: sums(carrier), [1, 3, 6, 10, 15])


async def test_two_processes_of_one_role_write_each_letter_once(world: Any) -> None:
    carrier = await world.carrier()
    async with serving(await world.carrier()), serving(await world.carrier()):
        for number in range(1, 12):
            for mission in ("m-1", "m-2", "m-3"):
                await carrier.publish(add(number + 100, mission=mission))
        wanted = [sum(range(101, 101 + n)) for n in range(1, 12)]
        for mission in ("m-1", "m-2", "m-3"):
            await wait_for(lambda mission=mission: sums(carrier, mission), wanted)


async def test_mail_with_an_id_that_was_seen_changes_nothing(world: Any) -> None:
    carrier = await world.carrier()
    async with serving(await world.carrier()):
        await carrier.publish(add(1, id="same"))
        await carrier.publish(add(1, id="same").under_id("past the duplicate window"))
        await carrier.publish(add(2))
        await wait_for(lambda: sums(carrier), [1, 3])


async def test_a_raise_is_an_outcome_and_later_mail_does_not_wait(world: Any) -> None:
    carrier = await world.carrier()
    async with serving(await world.carrier()):
        for number in (1, UNLUCKY, 2):
            await carrier.publish(add(number))
        await wait_for(lambda: sums(carrier), [1, 3])

    (dead,) = await carrier.read(DLQ_STREAM, "coo.dlq.adder.m-1", 1)
    entry = deadletters.entry_of(dead)
    assert (entry.original_seq, entry.reason, entry.error) == (2, "raised", "ValueError: 1300 is unlucky")
    assert entry.body == add(UNLUCKY).body
    assert "is unlucky" in entry.traceback
    assert len(dead.headers) <= 12
    (error,) = await carrier.read(MAIL_STREAM, "coo.m.m-1.desk.error.adder", 1)
    assert msgspec.json.decode(error.body) == {
        "mailbox": "adder",
        "seq": 2,
        "reason": "raised",
        "detail": "ValueError: 1300 is unlucky",
    }


def bad(subject: str = "coo.m.m-1.adder.add.ceo", body: bytes = b'{"number":1}', **headers: str) -> Outgoing:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Outgoing(subject, {"ce-id": "x", **named}, body)


NO_HEADERS = Outgoing("coo.m.m-1.adder.add.ceo", {}, b'{"number":1}')

BAD_MAIL = {
    "undecodable": ("undecodable", bad(body=b"\xff\xfe not json")),
    "of another shape": ("undecodable", bad(body=b'{"number":"one"}')),
    "nested too deep": ("too_deep", bad(body=b"[" * 5000)),
    "too big": ("too_big", bad(body=b'{"number":1}' + b" " * 70_000)),
    "an unknown kind": ("not_in_table", bad("coo.m.m-1.adder.bribe.ceo", b"{}")),
    "a kind that goes elsewhere": ("not_in_table", bad("coo.m.m-1.adder.sum.ceo", b"{}")),
    "a sender that may not": ("not_in_table", bad("coo.m.m-1.adder.add.desk")),
    "a token too many": ("bad_subject", bad("coo.m.m-1.adder.add.ceo.more", b"{}")),
    "a token too few": ("bad_subject", bad("coo.m.m-1.adder.add")),
    "a token in capitals": ("bad_subject", bad("coo.m.m-1.adder.add.CEO")),
    "no headers": ("bad_headers", NO_HEADERS),
    "an endless id": ("bad_headers", bad(ce_id="x" * 129)),
    "a header that is not ASCII": ("bad_headers", bad(ce_time="März")),
    "another source than its subject": ("bad_headers", bad(ce_source="/coo/adder")),
    "another type than its subject": ("bad_headers", bad(ce_type="coo.sum")),
    "a copy's stream": ("copied_message", bad(Nats_Stream="COO")),
    "a copy's sequence": ("copied_message", bad(Nats_Sequence="7")),
    "a copy's subject": ("copied_message", bad(Nats_Subject="coo.m.m-2.adder.add.ceo")),
}


@pytest.mark.parametrize("case", BAD_MAIL)
async def test_bad_mail_ends_in_the_dead_letters_with_its_reason(world: Any, case: str) -> None:
    reason, mail = BAD_MAIL[case]
    carrier = await world.carrier()
    async with serving(await world.carrier()):
        await carrier.publish(mail)
        await carrier.publish(add(2))
        await wait_for(lambda: sums(carrier), [2])

    (dead,) = await carrier.read(DLQ_STREAM, "coo.dlq.adder.m-1", 1)
    entry = deadletters.entry_of(dead)
    assert (entry.reason, entry.original_seq, entry.body) == (reason, 1, mail.body)
    assert entry.original_subject == mail.subject
    (error,) = await carrier.read(MAIL_STREAM, "coo.m.m-1.desk.error.adder", 1)
    told = msgspec.json.decode(error.body)
    assert (told["mailbox"], told["seq"], told["reason"]) == ("adder", 1, reason)


async def test_a_killed_process_loses_and_doubles_nothing(world: Any) -> None:
    carrier = await world.carrier()
    async with doomed(world):
        for number in range(1, 31):
            await carrier.publish(add(number))

    async with serving(await world.carrier()):
        await wait_for(lambda: sums(carrier), [n * (n + 1) // 2 for n in range(1, 31)])


async def test_whoever_folds_a_mail_publishes_what_its_dead_handler_did_not(world: Any) -> None:
    carrier = await world.carrier()
    for number in (1, 2):
        await carrier.publish(add(number))
    hands: list[Any] = []

    async def swallow(delivery: Any) -> None:
        hands.append(delivery)
        delivery.ack()  # handled by somebody who died before it published anything

    consumer = await (await world.carrier()).consume(MAIL_STREAM, "adder", 10, swallow)
    await eventually(lambda: len(hands) == 2)
    await consumer.stop()

    async with serving(await world.carrier()):
        await carrier.publish(add(3))
        await wait_for(lambda: sums(carrier), [1, 3, 6])


async def test_a_drained_process_leaves_a_checkpoint_that_the_next_one_starts_from(world: Any) -> None:
    carrier = await world.carrier()
    async with serving(await world.carrier()):
        for number in range(1, 4):
            await carrier.publish(add(number))
        await wait_for(lambda: sums(carrier), [1, 3, 6])
    (checkpoint,) = await carrier.read(MAIL_STREAM, "coo.m.m-1.adder.checkpoint.adder", 1)
    body = msgspec.json.decode(checkpoint.body)
    assert (body["version"], body["fold"]["state"], body["fold"]["count"]) == (1, {"total": 6}, 3)

    async with serving(await world.carrier()):
        await carrier.publish(add(4))
        await wait_for(lambda: sums(carrier), [1, 3, 6, 10])


async def test_a_checkpoint_is_written_every_so_many_mails(world: Any) -> None:
    carrier = await world.carrier()
    settings = LoopSettings(ack_wait_s=1.0, checkpoint_every=4)
    stop = asyncio.Event()
    task = asyncio.create_task(RoleLoop(ADDER, TOY, await world.carrier(), settings).run(stop))

    async def positions() -> list[int]:
        found = await carrier.read(MAIL_STREAM, "coo.m.m-1.adder.checkpoint.adder", 1)
        return [msgspec.json.decode(one.body)["fold"]["count"] for one in found]

    for number in range(1, 11):
        await carrier.publish(add(number))
        await wait_for(positions, [4, 8][: number // 4])  # in a burst the next waits for the one before
    stop.set()
    await task


async def test_a_checkpoint_too_big_for_a_body_is_a_blob(world: Any) -> None:
    carrier = await world.carrier()
    numbers = range(1, 1200)
    await asyncio.gather(*(carrier.publish(add(number, id=f"{number:0>32}")) for number in numbers))

    async def last() -> int:
        found = await carrier.last(MAIL_STREAM, "coo.m.m-1.ceo.sum.adder")
        return msgspec.json.decode(found.body, type=Sum).total if found else 0

    async with serving(await world.carrier()):
        await wait_for(last, sum(numbers), timeout_s=60)
    checkpoint = await carrier.last(MAIL_STREAM, "coo.m.m-1.adder.checkpoint.adder")
    assert msgspec.json.decode(checkpoint.body)["blob"]["size"] > 32_000
    async with serving(await world.carrier()):
        await carrier.publish(add(5000))
        await wait_for(last, sum(numbers) + 5000)


async def test_a_mission_that_a_newer_version_has_is_not_written_to_and_others_go_on(world: Any) -> None:
    carrier = await world.carrier()
    newer: Role[Total] = Role(name="adder", version=2, state=Total, handle=handle)
    await announce(carrier, TOY, [newer])
    async with serving(await world.carrier(), newer):
        await carrier.publish(add(1))
        await wait_for(lambda: sums(carrier), [1])

    async with serving(await world.carrier()) as older:
        await carrier.publish(add(2))
        await carrier.publish(add(5, mission="m-2"))
        await wait_for(lambda: sums(carrier, "m-2"), [5])
        assert not older.done()
        assert await sums(carrier) == [1]
    async with serving(await world.carrier(), newer):
        await wait_for(lambda: sums(carrier), [1, 3])


async def test_code_that_decides_otherwise_stops_the_key_and_says_so(world: Any) -> None:
    carrier = await world.carrier()
    async with doomed(world):
        await carrier.publish(add(1))
        await wait_for(lambda: sums(carrier), [1])

    changed: Role[Total] = Role(name="adder", version=1, state=Total, handle=dishonest)
    async with serving(await world.carrier(), changed):
        await carrier.publish(add(2))

        async def complaints() -> list[str]:
            found = await carrier.read(MAIL_STREAM, "coo.m.m-1.desk.error.adder", 1)
            return [msgspec.json.decode(one.body)["reason"] for one in found]

        await wait_for(complaints, ["decision_changed"])
    assert await sums(carrier) == [1]


async def test_a_squatted_message_id_does_not_make_a_letter_vanish(world: Any) -> None:
    carrier = await world.carrier()
    cause = add(1)
    squatted = digest("m-1", "ceo", cause.id, "adder", "ceo", "sum", 0)
    await carrier.publish(Outgoing("coo.m.m-1.desk.error.adder", {"Nats-Msg-Id": squatted}, b"noise"))

    async with serving(await world.carrier()):
        await carrier.publish(cause)
        await wait_for(lambda: sums(carrier), [1])

    letter = await carrier.last(MAIL_STREAM, "coo.m.m-1.ceo.sum.adder")
    assert letter.headers["ce-id"] == squatted
    assert letter.headers["Nats-Msg-Id"] == digest(squatted, 1)


class TestPastTheDuplicateWindow:
    """The server forgot the ids, so only the log can say what was sent."""

    @pytest.fixture
    def duplicate_window_s(self) -> float:
        return 0.5

    async def test_old_mail_that_is_folded_again_publishes_only_what_is_missing(self, world: Any) -> None:
        carrier = await world.carrier()
        settings = LoopSettings(ack_wait_s=1.0, old_after_s=0.2)
        async with doomed(world, settings=settings):
            for number in (1, UNLUCKY, 2):
                await carrier.publish(add(number))
            await wait_for(lambda: sums(carrier), [1, 3])
            await wait_for(lambda: _dead(carrier), 1)
        await asyncio.sleep(1.2)

        async with serving(await world.carrier(), settings=settings):
            await carrier.publish(add(3))
            await wait_for(lambda: sums(carrier), [1, 3, 6])

        everything = await carrier.read(MAIL_STREAM, "coo.m.>", 1)
        ids = [one.headers["ce-id"] for one in everything]
        assert len(ids) == len(set(ids))
        assert len(await carrier.read(DLQ_STREAM, "coo.dlq.>", 1)) == 1


async def test_a_replay_is_decided_once_and_a_forged_entry_is_refused(world: Any) -> None:
    carrier = await world.carrier()
    forged = deadletters.copy_of(
        "adder",
        (await _stored(carrier, add(1))),
        deadletters.DeadLetter("raised", "forged", ""),
    )
    await carrier.publish(Outgoing(forged.subject, forged.headers, b'{"number":999}'))
    (entry,) = await carrier.read(DLQ_STREAM, "coo.dlq.>", 1)
    with pytest.raises(deadletters.ReplayRefused):
        await deadletters.replay(carrier, deadletters.entry_of(entry))

    async with serving(await world.carrier()):
        await carrier.publish(NO_HEADERS)
        await wait_for(lambda: _dead(carrier), 2)
        bad = deadletters.entry_of((await carrier.read(DLQ_STREAM, "coo.dlq.>", 2))[0])
        message, first = await deadletters.replay(carrier, bad)
        await carrier.publish(message)
        await carrier.publish(message)
        await wait_for(lambda: sums(carrier), [1, 2])
        _, second = await deadletters.replay(carrier, bad)
    assert (first, second) == (1, 2)


async def _stored(carrier: Any, message: Outgoing) -> Any:
    return await carrier.get(MAIL_STREAM, (await carrier.publish(message)).seq)


async def _dead(carrier: Any) -> int:
    return len(await carrier.read(DLQ_STREAM, "coo.dlq.>", 1))


async def test_mail_older_than_the_clock_of_the_log_moves_no_time_back(world: Any) -> None:
    times: list[int] = []

    def note(state: Total, mail: Mail) -> Step:
        times.append(mail.now_ns)
        return handle(state, mail)

    role: Role[Total] = Role(name="adder", version=1, state=Total, handle=note)
    carrier = await world.carrier()
    before = time.time_ns()
    async with serving(await world.carrier(), role):
        for number in range(1, 4):
            await carrier.publish(add(number))
        await wait_for(lambda: sums(carrier), [1, 3, 6])
    assert before - 10**9 < times[0]
    assert times == sorted(times)
