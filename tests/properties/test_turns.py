"""Sandbox turns: whoever floods the mailbox, the others are served."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.performers.turns import TooMany, Turns

RUNS = 4


class Shop:
    """Runs that last until they are told to end."""

    def __init__(self, runs: int = RUNS, most_waiting: int = 128) -> None:
        self.turns = Turns(runs, most_waiting)
        self.running: list[tuple[str, str]] = []
        self.began: list[tuple[str, str]] = []
        self.refused: Counter[str] = Counter()
        self.ends: dict[asyncio.Task[None], asyncio.Event] = {}

    def ask(self, sender: str, mission: str) -> asyncio.Task[None]:
        end = asyncio.Event()

        async def run() -> None:
            try:
                async with self.turns.turn(sender, mission):
                    self.running.append((sender, mission))
                    self.began.append((sender, mission))
                    try:
                        await end.wait()
                    finally:
                        self.running.remove((sender, mission))
            except TooMany:
                self.refused[sender] += 1

        task = asyncio.ensure_future(run())
        self.ends[task] = end
        task.add_done_callback(lambda task: self.ends.pop(task, None))
        return task

    async def settle(self) -> None:
        for _ in range(10):
            await asyncio.sleep(0)

    async def close(self) -> None:
        for task in list(self.ends):
            task.cancel()
        await asyncio.gather(*self.ends, return_exceptions=True)


async def test_a_flood_of_one_sender_keeps_nobody_else_waiting() -> None:
    shop = Shop()
    for n in range(1000):
        shop.ask("engineer", f"m-{n}")
    await shop.settle()
    assert Counter(sender for sender, _ in shop.running) == {"engineer": RUNS - 1}
    shop.ask("qa", "m-qa")
    await shop.settle()
    assert ("qa", "m-qa") in shop.running
    assert shop.refused == {"engineer": 1000 - 128 - (RUNS - 1)}
    await shop.close()


async def test_a_mission_that_floods_leaves_half_to_the_others() -> None:
    shop = Shop()
    for _ in range(10):
        shop.ask("engineer", "m-greedy")
    await shop.settle()
    assert shop.running == [("engineer", "m-greedy")] * (RUNS // 2)
    shop.ask("engineer", "m-modest")
    await shop.settle()
    assert ("engineer", "m-modest") in shop.running
    await shop.close()


async def test_one_run_at_a_time_serves_senders_and_their_missions_in_turn() -> None:
    shop = Shop(runs=1)
    for party in [("engineer", "m-1")] * 3 + [("engineer", "m-2")] * 3 + [("qa", "m-1")] * 3:
        shop.ask(*party)
    await shop.settle()
    for end in list(shop.ends.values()):  # each ends as soon as it has begun
        end.set()
    await asyncio.gather(*shop.ends)
    assert shop.began[:6] == [
        ("engineer", "m-1"),
        ("qa", "m-1"),
        ("engineer", "m-2"),
        ("qa", "m-1"),
        ("engineer", "m-1"),
        ("qa", "m-1"),
    ]
    assert Counter(shop.began) == {("engineer", "m-1"): 3, ("engineer", "m-2"): 3, ("qa", "m-1"): 3}


@settings(max_examples=60)
@given(
    st.integers(1, 6),
    st.lists(
        st.tuples(
            st.sampled_from(["ask", "ask", "ask", "end", "cancel"]), st.integers(0, 5), st.integers(0, 9)
        ),
        max_size=60,
    ),
)
def test_whatever_comes_and_goes_no_turn_is_lost_and_none_is_given_twice(
    runs: int, steps: list[tuple[str, int, int]]
) -> None:
    async def play() -> None:
        shop = Shop(runs, most_waiting=16)
        tasks: list[asyncio.Task[None]] = []
        for what, who, which in steps:
            if what == "ask":
                tasks.append(shop.ask(("engineer", "qa")[who % 2], f"m-{which % 3}"))
            elif tasks and what == "end":
                if (end := shop.ends.get(tasks[which % len(tasks)])) is not None:
                    end.set()
            elif tasks:
                tasks[which % len(tasks)].cancel()
            if who == 0:
                await shop.settle()
            assert len(shop.running) <= runs
            assert max(Counter(sender for sender, _ in shop.running).values(), default=0) <= max(1, runs - 1)
            assert max(Counter(shop.running).values(), default=0) <= max(1, runs // 2)
        await shop.settle()
        left = [task for task in tasks if not task.done()]
        for _ in range(len(left) + 1):  # whoever still waits gets a turn when those that run end
            for end in list(shop.ends.values()):
                end.set()
            await shop.settle()
        assert all(task.done() for task in tasks)
        assert shop.running == []
        with suppress(TooMany):
            async with asyncio.timeout(5), shop.turns.turn("qa", "m-after"):
                pass

    asyncio.run(play())


async def test_too_many_are_refused_at_once() -> None:
    turns = Turns(1, 8)
    async with turns.turn("engineer", "m-0"):
        waiting = asyncio.ensure_future(turns.turn("engineer", "m-1").__aenter__())
        await asyncio.sleep(0)
        with pytest.raises(TooMany, match="for this mission"):
            await turns.turn("engineer", "m-1").__aenter__()
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
