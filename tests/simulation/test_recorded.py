"""The simulation's recorded outcomes are those of real runs in a real sandbox.

After a change of the script they are recorded anew: COO_RECORD=1 pytest tests/simulation/test_recorded.py
"""

from __future__ import annotations

import json
import os
from typing import Any

import pytest
from memory_company import memory_company

from actors.chaos.recorded import RECORDED, key_of
from actors.chaos.simulation import GOAL
from actors.performers import programs
from sandbox import Order, Outcome, Policy, choose_backend

_END_CHARS = 400


class Recording:
    """Runs orders and writes down what came of them."""

    name = "bubblewrap"

    def __init__(self, backend: Any, record: dict[str, list[object]]) -> None:
        self._backend = backend
        self._record = record

    async def run(self, order: Order) -> Outcome:
        outcome: Outcome = await self._backend.run(order)
        said = [outcome.stdout.head, outcome.stderr.head[-_END_CHARS:]]
        self._record[key_of(order)] = [outcome.status, outcome.exit_code, *said]
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

    if os.environ.get("COO_RECORD"):
        RECORDED.write_text(json.dumps(record, indent=1, sort_keys=True) + "\n", "utf-8")
    packaged = json.loads(RECORDED.read_text("utf-8"))
    assert {key: value[:3] for key, value in packaged.items()} == {
        key: value[:3] for key, value in record.items()
    }
