"""Any provider against the meter it charges by: what is booked and held is never below it, or in doubt.

A seed makes a provider: what it writes, how it counts, where it states that, what it forgets, where the
stream breaks, how it is cut into chunks. Its meter is what it would charge for what it has written.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from bank import PLAN, Bank, running_bank
from player import HEAD, Player, running_player
from provider import KEY

from actors import messages as m

INPUT, OUTPUT, HIT = 1, 4, 0.1
"""Micro-dollars a token, as in the prices below."""

TEXT = '{"summary": "s", "tasks": [{"title": "t", "brief": "b", "acceptance": ["true"]}]}'


@dataclass
class Maker:
    """A provider made from a seed: its bytes, and what it charges for them."""

    chance: random.Random
    events: list[Any] = field(default_factory=list)
    meter: float = 0.0

    def usage(self, written: int, thought: int, cached: int, prompt: int) -> dict[str, Any]:
        """State what was taken, in one of the ways that there are."""
        chance = self.chance
        beside, aside = chance.random() < 0.3, chance.random() < 0.3
        usage: dict[str, Any] = {
            "prompt_tokens": prompt if not beside else prompt - cached,
            "completion_tokens": written if aside else written + thought,
        }
        if chance.random() < 0.8:
            usage["total_tokens"] = prompt + written + thought
        if cached and (beside or chance.random() < 0.8):
            place = chance.choice(["prompt_tokens_details", "flat", "deepseek"])
            if place == "flat":
                usage["cached_tokens"] = cached
            elif place == "deepseek":
                usage["prompt_cache_hit_tokens"] = cached
            else:
                usage[place] = {"cached_tokens": cached}
        if aside or chance.random() < 0.8:
            usage["completion_tokens_details"] = {"reasoning_tokens": thought}
        return usage

    def spoil(self, usage: dict[str, Any]) -> dict[str, Any]:
        """Make it a placeholder, or odd, or leave it."""
        chance = self.chance
        name = chance.choice(["prompt_tokens", "completion_tokens", "total_tokens"])
        match chance.randrange(12):
            case 0:
                return {**usage, "prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}
            case 1:
                return {**usage, name: 0}
            case 2:
                return {**usage, name: chance.choice([None, "7", -1, 1.5, True, [], 10**30, 90_000_000])}
            case 3:
                return {key: value for key, value in usage.items() if key != name}
            case 4:
                return {**usage, "cost": chance.choice(["0.1", -1, True, {}, {"x": 1}, 1e30])}
            case 5:
                return {}
        return usage

    def make(self, prompt_bytes: int) -> bytes:
        """Return the HTTP response; the meter counts what was written until it broke."""
        chance = self.chance
        prompt = prompt_bytes // chance.choice([2, 4, 6])
        cached = chance.choice([0, 0, prompt // 3, prompt])
        thought = chance.choice([0, 0, 20, 400])
        steps, written, spoken = chance.randrange(1, 8), 0, 0
        places = {chance.choice(["first", "each", "last", "last", "last", "never"])}
        size = -(-len(TEXT) // steps)
        if "first" in places:
            self.event(usage={**self.usage(1, 0, 0, prompt), "completion_tokens": 1})
        self.event(delta={"role": "assistant", "reasoning_content": "think " * thought})
        for n in range(steps):
            text = TEXT[n * size : (n + 1) * size]
            written += max(1, len(text) // 4)
            spoken += len(text)
            usage = self.usage(written, thought, cached, prompt) if "each" in places else None
            self.event(delta={"content": text}, usage=usage, finish="" if n < steps - 1 else "stop")
        if "last" in places:
            usage = self.spoil(self.usage(written, thought, cached, prompt))
            if chance.random() < 0.3:
                usage |= {} if "cost" in usage else {"cost": chance.choice([0.001, 0.02, 0.5])}
            self.events.append(json.dumps({"choices": [], "usage": usage}))
            self.meter = float(usage["cost"]) * 1e6 if type(usage.get("cost")) is float else 0.0
            self.meter = 0.0 if self.meter > 1e15 else self.meter
        if not self.meter:
            self.meter = (prompt - cached) * INPUT + cached * HIT + (written + thought) * OUTPUT
        if chance.random() < 0.8:
            self.events.append("[DONE]")
        if chance.random() < 0.15:
            self.events.insert(chance.randrange(len(self.events) + 1), chance.choice(ODD))
        end = chance.choice(["\n\n", "\r\n\r\n", "\n"])
        body = "".join(f"data: {event}{end}" for event in self.events).encode()
        if chance.random() < 0.2:
            body = body[: chance.randrange(len(body) + 1)]
        if chance.random() < 0.05:
            body = chance.randbytes(200) + body
        return HEAD + body

    def event(self, delta: Any = None, usage: Any = None, finish: str = "") -> None:
        one = {"choices": [{"delta": delta or {}, "finish_reason": finish or None}], "usage": usage}
        self.events.append(json.dumps(one))


ODD = [
    "",
    "{",
    "null",
    "7",
    '{"error": "overloaded"}',
    "[" * 5_000,
    '{"choices": 3}',
    '{"usage": {}}',
    "ping",
]


@pytest.fixture
async def bank(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Bank]:
    monkeypatch.setenv("COO_TEST_KEY", KEY)
    async with running_bank(10**9) as bank:
        yield bank


@pytest.fixture
async def player() -> AsyncIterator[Player]:
    async with running_player() as player:
        yield player


@pytest.mark.parametrize("block", range(5))
async def test_no_provider_charges_more_than_is_booked_and_held_or_it_is_in_doubt(
    bank: Bank, player: Player, block: int
) -> None:
    terms = {
        "input_picousd_per_token": 1_000_000,
        "output_picousd_per_token": 4_000_000,
        "cache_hit_picousd_per_token": 100_000,
    }
    performer = bank.performer(player, role="coo", timeout_s=60.0, max_output_tokens=8_000, **terms)
    meters: dict[str, float] = {}
    for n in range(60):
        seed = block * 1_000 + n
        maker = Maker(random.Random(seed))
        said = maker.make(2_800)
        player.say, player.cut = lambda said=said: said, maker.chance.random() < 0.2
        player.chunk_bytes = maker.chance.choice([3, 50, 1 << 16])
        await lift(bank, seed)
        await performer.perform(await bank.order(seed, PLAN))
        meters[f"call-{seed}.1"] = maker.meter
    books = await bank.books()
    for attempt, metered in meters.items():
        hold = books.holds["m-1", attempt]
        assert hold.status in ("settled", "sent", "in_doubt"), attempt
        if hold.status == "settled":
            assert hold.now >= metered - 1e-6, (attempt, hold, metered)
        else:
            assert hold.now == hold.held
    day = next(account for name, account in books.accounts.items() if name.startswith("day:"))
    assert day.posted + day.pending <= sum(hold.held + hold.now for hold in books.holds.values())
    states = {hold.status for hold in books.holds.values()}
    assert {"settled", "in_doubt"} <= states, "the generator makes both"


async def lift(bank: Bank, seed: int) -> None:
    """Let the mission go on, whatever the call before this has cost."""
    before = len(bank.facts("raised"))
    order = m.Raise(digest=f"r-{seed}", microusd=10**6, asked=False)
    await bank.say("approval", "budget", order, f"r-{seed}")
    async with asyncio.timeout(10):
        while len(bank.facts("raised")) == before:
            await asyncio.sleep(0.001)
