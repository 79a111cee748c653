"""What every actor keeps after a thousand missions is what it kept after a hundred."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import msgspec
import pytest

from actors import messages as m
from actors.chaos.clockwork import run as run_on_virtual_time
from actors.chaos.faults import CALM
from actors.chaos.simulation import Simulation
from actors.performers.clock import Clock
from actors.process.wiring import role
from actors.roles.approval import MAX_REQUESTS
from actors.roles.budget import role as budget
from actors.table import TABLE
from bus.envelope import Stored, open_letter
from bus.fold import Fold
from bus.memory import MemoryServer
from bus.seen import MOST
from bus.server.topology import topology
from bus.subjects import parts_of

ROLES = ("coo", "engineer", "qa", "approval", "budget")
HOUR_NS = 3_600_000_000_000


@pytest.fixture(scope="module")
def one_mission() -> list[Stored]:
    """Return everything that one mission says, in order, without checkpoints."""
    simulation = Simulation(0, CALM)
    run_on_virtual_time(simulation.play(1))
    messages: list[Stored] = simulation.server.stream("COO").messages
    return [stored for stored in messages if ".checkpoint." not in stored.subject]


def of_mission(stored: Stored, n: int, seq: int) -> Stored:
    """Return a message as the nth mission says it: an hour after the one before."""
    subject = stored.subject.replace("coo.m.m-1.", f"coo.m.m-{n}.")
    headers = {**stored.headers, "ce-id": f"{n}-{stored.headers['ce-id']}"}
    return Stored(seq, stored.time_ns + n * HOUR_NS, subject, headers, stored.body)


def sizes(folds: dict[tuple[str, str], Fold[Any]]) -> dict[str, int]:
    """Return the greatest snapshot of each role's keys."""
    found: dict[str, int] = defaultdict(int)
    for (name, _), fold in folds.items():
        found[name] = max(found[name], len(fold.snapshot()))
    return found


def test_no_state_grows_with_the_missions_that_are_over(one_mission: list[Stored]) -> None:
    folds: dict[tuple[str, str], Fold[Any]] = {}
    after: dict[int, dict[str, int]] = {}
    seq = 0
    for n in range(1, 1001):
        for name in ROLES:  # those of a mission are folded with its own mail alone
            if TABLE.mailbox(name).per == "mission":
                folds[name, ""] = Fold(TABLE, role(name))
        for stored in one_mission:
            seq += 1
            to = stored.subject.split(".")[3]
            if to in ROLES:
                key = (to, "company" if TABLE.mailbox(to).per == "company" else "")
                folds.setdefault(key, Fold(TABLE, role(to))).apply(of_mission(stored, n, seq))
        if n in (100, 1000):
            after[n] = sizes(folds)
    names_of_closed = len(msgspec.json.encode({f"m-{n}": "2027-01" for n in range(100, 1001)}))
    days = len(msgspec.json.encode({"2027-01-01": {"posted": 123456, "pending": 0}})) * 900 // 24
    ids_of_the_company = 900 * 45 * 3
    for name in ROLES:
        allowed = names_of_closed + days + ids_of_the_company if name == "budget" else 200
        assert after[1000][name] <= after[100][name] + allowed, name
    [guard] = [fold for (name, _), fold in folds.items() if name == "budget"]
    assert guard.state.missions == {}


def test_the_guard_keeps_a_bound_of_names_and_ids(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budget, "MOST_CLOSED", 50)
    fold = Fold(TABLE, budget.ROLE)
    seq = 0

    def hear(mission: str, sender: str, message: msgspec.Struct) -> Any:
        nonlocal seq
        seq += 1
        letter = open_letter(
            TABLE, sender=sender, to="budget", mission=mission, message=message, id=f"{seq:0>32}", time_ns=0
        )
        return fold.apply(Stored(seq, 10**18 + seq, letter.subject, letter.headers, letter.body))

    hear("company", "ceo", m.Limits(day_microusd=10**9, month_microusd=10**9, mission_microusd=10**9))
    for n in range(200):
        hear(f"m-{n}", "coo", m.Open(cap_microusd=100))
        hear(f"m-{n}", "coo", m.Close(state="completed"))
        hear(f"m-{n}", "model-qa", m.Settle(attempt="late.1", microusd=1))  # raises: it is closed
        hear(f"nobody-{n}", "model-qa", m.Reserve(attempt="a.1", microusd=1, timeout_s=1))
        hear(f"nobody-{n}", "model-qa", m.Void(attempt="a.1", proof="not_sent"))
    assert list(fold.state.closed) == [f"m-{n}" for n in range(150, 200)]
    assert len(fold.state.missions) == 0
    before = len(fold.snapshot())
    for _ in range(4 * MOST):
        hear("company", "clock", m.Tick(name="expiry", at_ns=seq))
    assert len(fold.snapshot()) < before + 2 * MOST * 50


def test_the_gate_keeps_a_bound_of_decisions() -> None:
    fold = Fold(TABLE, role("approval"))
    for n in range(3 * MAX_REQUESTS):
        decision = m.Decision(digest=f"{n:0>64}", verdict="approve", raise_microusd=1)
        letter = open_letter(
            TABLE, sender="ceo", to="approval", mission="m-1", message=decision, id=f"{n}", time_ns=0
        )
        fold.apply(Stored(n + 1, n, letter.subject, letter.headers, letter.body))
    assert len(fold.state.requests) == MAX_REQUESTS
    for n in range(3 * MAX_REQUESTS, 5 * MAX_REQUESTS):
        request = m.Request(what="release", digest=f"{n:0>64}", why="", timeout_s=1)
        letter = open_letter(
            TABLE, sender="coo", to="approval", mission="m-1", message=request, id=f"{n}", time_ns=0
        )
        decision = fold.apply(Stored(n + 1, n, letter.subject, letter.headers, letter.body))
        kind = parts_of(decision.letters[0].subject).kind  # nothing that waits for the CEO is forgotten
        assert kind == ("rejected" if n >= 4 * MAX_REQUESTS else "wake")
    assert list(fold.state.requests.values()) == ["asked"] * MAX_REQUESTS


async def test_the_clock_keeps_nothing_of_missions_that_are_over(one_mission: list[Stored]) -> None:
    server = MemoryServer(topology(TABLE))
    clock = Clock(TABLE, server.connect())
    messages, seq = [], 0
    for n in range(1, 301):
        for stored in one_mission:
            kind = stored.subject.split(".")[4]
            if kind in ("close", "wake") and ".m-1." in stored.subject:
                seq += 1
                messages.append(of_mission(stored, n, seq))
        wake = m.Wake(name="deadline", at_ns=9 * 10**18)
        letter = open_letter(
            TABLE, sender="coo", to="clock", mission=f"m-{n + 1}", message=wake, id=f"w-{n}", time_ns=0
        )
        seq += 1
        messages.append(Stored(seq, 10**18, letter.subject, letter.headers, letter.body))
    server.load("COO", messages)
    await clock._read()
    assert len(clock._wakes) == 1
    server.close()
