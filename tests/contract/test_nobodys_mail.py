"""What stands in a subject never becomes a filter, on either carrier."""

from __future__ import annotations

from typing import Any

import pytest
from contract_adder import ADDER, serving, sums, wait_for
from contract_world import TOY, add

from bus import deadletters, subjects
from bus.envelope import Outgoing
from bus.loops.means import LoopSettings
from bus.loops.role import RoleLoop
from bus.subjects import DLQ_STREAM, MAIL_STREAM
from bus.verify import verify

FORGED = ("*", "M-1", "m+1", "-", "x" * 65, "é")
"""Missions as a taken actor can write them; nats-server delivers none named `>` to anybody."""


def forged(mission: str, number: int = 1) -> Outgoing:
    headers = {"Nats-Msg-Id": f"f-{mission}", "ce-id": f"f-{mission}"}
    return Outgoing(f"coo.m.{mission}.adder.add.ceo", headers, b'{"number":%d}' % number)


@pytest.mark.parametrize("mission", FORGED)
async def test_mail_of_a_mission_that_is_no_token_is_a_dead_letter_and_never_a_key(
    world: Any, mission: str
) -> None:
    carrier = await world.carrier()
    for number in (1, 2):
        await carrier.publish(add(number))
        await carrier.publish(add(10 * number, mission="m-2"))
    await carrier.publish(forged(mission, 1000))
    loop = RoleLoop(ADDER, TOY, await world.carrier())
    await loop.start()
    await wait_for(lambda: sums(carrier), [1, 3])
    await wait_for(lambda: sums(carrier, "m-2"), [10, 30])

    async def dead() -> list[tuple[int, str]]:
        found = await carrier.read(DLQ_STREAM, "coo.dlq.adder.company", 1)
        entries = map(deadletters.entry_of, found)
        return [(entry.original_seq, entry.reason) for entry in entries]

    await wait_for(dead, [(5, "bad_subject")])
    assert set(loop._keys) == {"m-1", "m-2"}
    await loop.drain()
    log = await carrier.read(MAIL_STREAM, "coo.m.>", 1)
    assert [one.subject for one in log if mission in one.subject.split(".")] == [forged(mission).subject]
    findings = verify(log, TOY, {"adder": ADDER}, lambda ref: b"").findings
    assert [finding.seq for finding in findings] == [5]


async def test_mail_that_nobody_may_address_is_not_replayed_by_its_subject(world: Any) -> None:
    carrier = await world.carrier()
    await carrier.publish(add(1))
    await carrier.publish(forged("*"))
    async with serving(await world.carrier()):
        await carrier.publish(add(2))
        await wait_for(lambda: sums(carrier), [1, 3])
    (dead,) = await carrier.read(DLQ_STREAM, "coo.dlq.>", 1)

    with pytest.raises(deadletters.ReplayRefused):
        await deadletters.replay(carrier, deadletters.entry_of(dead))


async def test_old_mail_that_is_nobody_s_is_a_dead_letter_once(world: Any) -> None:
    carrier = await world.carrier()
    await carrier.publish(forged("*"))
    for _ in range(2):  # the second process finds its copy in the log, since the server has forgotten its id
        loop = RoleLoop(ADDER, TOY, await world.carrier(), LoopSettings(old_after_s=-1.0))
        await loop.start()
        await carrier.publish(add(1, mission=f"m-{_}"))
        await wait_for(lambda name=f"m-{_}": sums(carrier, name), [1])
        await loop.drain()
    assert len(await carrier.read(DLQ_STREAM, "coo.dlq.>", 1)) == 1
    assert subjects.mission_of(forged("*").subject) == subjects.COMPANY


async def test_a_fold_that_came_across_nobody_s_mail_is_proven_with_it(world: Any) -> None:
    carrier = await world.carrier()
    bad = []
    for number in range(1, 6):
        await carrier.publish(add(1, id=f"add-{number}"))
        for subject in (
            "coo.m.m-1.adder.add.ceo.more",
            "coo.m.m-1.adder.checkpoint",
            "coo.m.*.adder.add.ceo",
        ):
            headers = {"Nats-Msg-Id": f"{subject}-{number}", "ce-id": f"{subject}-{number}"}
            bad.append((await carrier.publish(Outgoing(subject, headers, b"{}"))).seq)
    for _ in range(2):
        async with serving(await world.carrier(), settings=LoopSettings(ack_wait_s=1.0, checkpoint_every=1)):
            await wait_for(lambda: sums(carrier), [1, 2, 3, 4, 5])
    log = await carrier.read(MAIL_STREAM, "coo.m.>", 1)
    findings = verify(log, TOY, {"adder": ADDER}, lambda ref: b"").findings
    assert [finding.seq for finding in findings] == bad
