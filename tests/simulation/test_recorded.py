"""The simulation's recorded outcomes are those of real runs in a real sandbox."""

from __future__ import annotations

import json
from typing import Any

import pytest
from memory_company import memory_company

from actors.chaos.recorded import RECORDED, key_of
from actors.chaos.simulation import GOAL
from actors.performers import programs
from sandbox import Order, Outcome, Policy, choose_backend


class Recording:
    """Runs orders and writes down what came of them."""

    name = "bubblewrap"

    def __init__(self, backend: Any, record: dict[str, list[object]]) -> None:
        self._backend = backend
        self._record = record

    async def run(self, order: Order) -> Outcome:
        outcome: Outcome = await self._backend.run(order)
        self._record[key_of(order)] = [outcome.status, outcome.exit_code]
        return outcome

    async def sweep(self) -> tuple[str, ...]:
        return ()

    async def close(self) -> None:
        await self._backend.close()


async def test_the_recorded_outcomes_are_those_of_real_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    record: dict[str, list[object]] = {}

    async def find() -> Recording:
        return Recording(await choose_backend("bubblewrap", Policy()), record)

    monkeypatch.setattr(programs, "_finder", lambda policy: find)
    async with memory_company() as running:
        await running.mission(GOAL)
        await running.until("completed")

    packaged = json.loads(RECORDED.read_text("utf-8"))
    assert {key: value[:2] for key, value in packaged.items()} == record
