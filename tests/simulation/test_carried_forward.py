"""The guard's balance at the end of a day is in a checkpoint of its own."""

from __future__ import annotations

import asyncio

import msgspec
from memory_company import MemoryCompany, memory_company

from actors.roles.budget.ledger import Ledger, period
from bus.fold import Snapshot
from bus.table import Checkpoint

DAY_NS = 86_400 * 10**9
GOAL = "Write fizzbuzz"


def checkpoints(company: MemoryCompany) -> list[tuple[Checkpoint, Ledger]]:
    """Return the guard's checkpoints, each with its state."""
    found = []
    for stored in company.mail(lambda subject: subject.endswith(".budget.checkpoint.budget")):
        checkpoint = msgspec.json.decode(stored.body, type=Checkpoint)
        snapshot = msgspec.json.decode(checkpoint.fold, type=Snapshot)
        found.append((checkpoint, msgspec.json.decode(snapshot.state, type=Ledger)))
    return found


async def test_the_balance_is_carried_forward_at_the_end_of_a_day() -> None:
    async with memory_company() as company:
        await company.mission(GOAL, "m-1")
        await company.until("completed", mission="m-1")
        while not company.messages("m-1", "budget", "close"):
            await asyncio.sleep(0.01)
        (day, _), last = period(company.server.clock()), len(company.mail())
        assert checkpoints(company) == []
        company.clock_shift_ns += DAY_NS
        await company.mission(GOAL, "m-2")
        await company.until("completed", mission="m-2")

        ((checkpoint, ledger),) = checkpoints(company)
        assert checkpoint.position <= last
        assert set(ledger.days) == {day}
        spent = sum(bill.microusd for bill in company.messages("m-1", "budget", "settle"))
        assert (ledger.days[day].posted, ledger.days[day].pending) == (spent, 0)
        later = company.mail()[checkpoint.position :]
        of_the_guard = [stored for stored in later if stored.subject.split(".")[3] == "budget"]
        assert all(period(stored.time_ns)[0] != day for stored in of_the_guard)
