"""A role in a new version takes over what the old one decided, or stops and says where they differ."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import msgspec
import pytest
from contract_adder import ADDER, Total, doomed, handle, serving, sums, wait_for
from contract_world import TOY, Add, Sum, add

from bus import subjects
from bus.envelope import Letter, Mail
from bus.fold import Fold, Role, Step
from bus.loops import checkpoints
from bus.loops.publisher import publish_surely
from bus.loops.releases import announce
from bus.subjects import MAIL_STREAM
from bus.table import Checkpoint, Table

SAME: Role[Total] = replace(ADDER, version=2)


def _also(state: Total, mail: Mail) -> Step:
    step = handle(state, mail)
    return Step(step.state, [*step.letters, Letter(to="desk", message=Sum(total=0))])


def _never(state: Total, mail: Mail) -> Step:
    return Step(handle(state, mail).state)


def _double(state: Total, mail: Mail) -> Step:
    assert isinstance(mail.message, Add)
    total = Total(total=state.total + 2 * mail.message.number)
    return Step(total, [Letter(to="ceo", message=Sum(total=total.total))])


def _quiet(state: Total, mail: Mail) -> Step:
    """Say nothing of numbers below 10."""
    assert isinstance(mail.message, Add)
    step = handle(state, mail)
    return step if mail.message.number >= 10 else Step(step.state)


def _quiet_double(state: Total, mail: Mail) -> Step:
    assert isinstance(mail.message, Add)
    step = _double(state, mail)
    return step if mail.message.number >= 10 else Step(step.state)


CHANGED = {
    name: Role[Total](name="adder", version=2, state=Total, handle=decide)
    for name, decide in {"another": _double, "one less": _never}.items()
}
DOUBLE = CHANGED["another"]


async def checkpoints_of(carrier: Any) -> list[tuple[int, int]]:
    found = await carrier.read(MAIL_STREAM, "coo.m.m-1.adder.checkpoint.adder", 1)
    bodies = [msgspec.json.decode(one.body) for one in found]
    return [(body["version"], body["position"]) for body in bodies]


async def complaints(carrier: Any) -> list[str]:
    found = await carrier.read(MAIL_STREAM, "coo.m.m-1.desk.error.adder", 1)
    return [msgspec.json.decode(one.body)["detail"] for one in found]


async def test_a_drained_key_goes_on_in_the_new_version_with_nothing_to_compare(world: Any) -> None:
    carrier = await world.carrier()
    async with serving(await world.carrier()):
        await carrier.publish(add(1))
        await wait_for(lambda: sums(carrier), [1])
    async with serving(await world.carrier(), DOUBLE):
        await carrier.publish(add(2))
        await wait_for(lambda: sums(carrier), [1, 5])
    assert (await checkpoints_of(carrier))[:2] == [(1, 1), (2, 1)]


async def test_mail_of_a_killed_lower_version_is_folded_again_and_checkpointed_before_a_letter(
    world: Any,
) -> None:
    carrier = await world.carrier()
    async with doomed(world):
        for number in (1, 2):
            await carrier.publish(add(number))
        await wait_for(lambda: sums(carrier), [1, 3])
    async with doomed(world, SAME):
        await carrier.publish(add(3))
        await wait_for(lambda: sums(carrier), [1, 3, 6])
    log = await carrier.read(MAIL_STREAM, "coo.m.m-1.*.*.adder", 1)
    kinds = [(one.subject.split(".")[4], one.headers.get("coo-version")) for one in log]
    assert kinds == [("sum", "1"), ("sum", "1"), ("checkpoint", None), ("sum", "2")]
    assert await checkpoints_of(carrier) == [(2, 0)]


@pytest.mark.parametrize("change", CHANGED)
async def test_another_decision_for_old_mail_stops_the_key_and_names_the_letter(
    world: Any, change: str
) -> None:
    carrier = await world.carrier()
    async with doomed(world):
        await carrier.publish(add(1))
        await wait_for(lambda: sums(carrier), [1])
    async with serving(await world.carrier(), CHANGED[change]):
        await carrier.publish(add(2))
        await wait_for(
            lambda: complaints(carrier),
            ["adder decides differently from the log for m-1: letter 2, decided at 1"],
        )
    assert await sums(carrier) == [1]
    assert await checkpoints_of(carrier) == []


async def test_a_letter_left_out_before_later_ones_to_the_same_addressee_is_a_changed_decision(
    world: Any,
) -> None:
    carrier = await world.carrier()
    quiet: Role[Total] = replace(ADDER, handle=_quiet)
    async with doomed(world, quiet):
        for number in (1, 10):
            await carrier.publish(add(number))
        await wait_for(lambda: sums(carrier), [11])
    async with serving(await world.carrier(), SAME):
        await carrier.publish(add(20))
        await wait_for(
            lambda: complaints(carrier),
            ["adder decides differently from the log for m-1: letter 1, decided at 1"],
        )
    assert await sums(carrier) == [11]


async def test_a_letter_that_was_still_to_be_published_is_no_change(world: Any) -> None:
    carrier = await world.carrier()
    async with doomed(world):
        await carrier.publish(add(1))
        await wait_for(lambda: sums(carrier), [1])
    also: Role[Total] = replace(SAME, handle=_also)
    async with serving(await world.carrier(), also):
        await carrier.publish(add(2))
        await wait_for(lambda: sums(carrier), [1, 3])
    desk = await carrier.read(MAIL_STREAM, "coo.m.m-1.desk.sum.adder", 1)
    assert [one.headers["coo-at"] for one in desk] == ["1", "3"]


async def test_a_process_of_the_lower_version_leaves_a_key_where_the_new_one_took_it_over(world: Any) -> None:
    carrier = await world.carrier()
    await announce(carrier, TOY, [SAME])
    async with serving(await world.carrier()) as older:
        await carrier.publish(add(1))
        await wait_for(lambda: sums(carrier), [1])
        async with serving(await world.carrier(), SAME):
            expected = [1]
            for number in range(2, 12):
                await carrier.publish(add(number))
                expected.append(expected[-1] + number)
                await wait_for(lambda wanted=list(expected): sums(carrier), wanted=list(expected))
            assert not older.done()
    log = await carrier.read(MAIL_STREAM, "coo.m.m-1.*.*.adder", 1)
    versions = [one.headers["coo-version"] for one in log if "coo-version" in one.headers]
    assert versions == sorted(versions)


async def sums_after_a_late_checkpoint(world: Any) -> list[int]:
    """Let a process of version 1 stand still before its checkpoint, which then comes after version 2's.

    Version 2 counts everything twice, from where it took over.
    """
    carrier = await world.carrier()
    older: Role[Total] = replace(ADDER, handle=_quiet)
    newer: Role[Total] = Role(name="adder", version=2, state=Total, handle=_quiet_double)
    async with serving(await world.carrier(), older):
        await carrier.publish(add(10))
        await wait_for(lambda: sums(carrier), [10])
    second = await carrier.publish(add(1))
    async with doomed(world, newer):
        await wait_for(lambda: checkpoints_of(carrier), [(1, 1), (2, 1)])
        await carrier.publish(add(20))
        await wait_for(lambda: sums(carrier), [10, 52])

    stood: Fold[Total] = Fold(TOY, older)
    for stored in await carrier.read(MAIL_STREAM, "coo.m.m-1.adder.>", 1):
        if stored.seq <= second.seq:
            stood.apply(stored)
    late = await checkpoints.letter(carrier, older, "m-1", stood.position, stood.snapshot())
    await publish_surely(carrier, late)
    assert (await checkpoints_of(carrier))[-1] == (1, second.seq)

    async with doomed(world, newer):
        await carrier.publish(add(30))
        async with asyncio.timeout(6):
            while len(found := await sums(carrier)) < 3 and not await complaints(carrier):
                await asyncio.sleep(0.02)
    return found


async def test_the_newest_checkpoint_is_the_greatest_not_the_last(world: Any) -> None:
    assert await sums_after_a_late_checkpoint(world) == [10, 52, 112]


async def test_a_loop_that_starts_from_the_last_checkpoint_is_noticed(
    world: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def last(carrier: Any, table: Table, fold: Any, role: str, key: str, everything: bool) -> Any:
        found = await carrier.last(MAIL_STREAM, subjects.mail(key, role, "checkpoint", role))
        return [msgspec.json.decode(found.body, type=Checkpoint)] if found else None

    monkeypatch.setattr(checkpoints, "_claims", last)
    assert await sums_after_a_late_checkpoint(world) != [10, 52, 112]


async def test_a_state_that_the_new_version_cannot_read_is_folded_again_from_nothing(world: Any) -> None:
    class Totals(msgspec.Struct, frozen=True, kw_only=True):
        total: tuple[int, ...] = ()

    def decide(state: Totals, mail: Mail) -> Step:
        assert isinstance(mail.message, Add)
        numbers = (*state.total, mail.message.number)
        return Step(Totals(total=numbers), [Letter(to="ceo", message=Sum(total=sum(numbers)))])

    carrier = await world.carrier()
    async with serving(await world.carrier()):
        await carrier.publish(add(1))
        await wait_for(lambda: sums(carrier), [1])
    async with serving(await world.carrier(), Role(name="adder", version=2, state=Totals, handle=decide)):
        await carrier.publish(add(2))
        await wait_for(lambda: sums(carrier), [1, 3])
    assert (await checkpoints_of(carrier))[:2] == [(1, 1), (2, 0)]
