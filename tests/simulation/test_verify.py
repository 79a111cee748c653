"""A log that was changed in any way is not explained; one that was only copied is."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import msgspec
import pytest

from actors.chaos.clockwork import run as run_on_virtual_time
from actors.chaos.faults import CALM
from actors.chaos.simulation import Simulation
from actors.chaos.whole import blob_in
from actors.performers.proofs import PERFORMERS
from actors.process.wiring import role
from actors.table import TABLE
from bus.envelope import Stored
from bus.verify import Report, verify

ROLES = {name: role(name) for name in ("coo", "engineer", "qa", "approval", "budget")}
Log = list[Stored]


@cache
def played() -> Simulation:
    simulation = Simulation(5, CALM)
    run_on_virtual_time(simulation.play(1))
    return simulation


@pytest.fixture
def log() -> Log:
    return list(played().server.stream("COO").messages)


def checked(log: Log) -> Report:
    return verify(log, TABLE, ROLES, lambda ref: blob_in(played().server, ref), PERFORMERS)


def index_of(log: Log, part: str) -> int:
    return next(i for i, stored in enumerate(log) if part in stored.subject)


def changed(stored: Stored, old: bytes, new: bytes) -> Stored:
    assert old in stored.body
    return msgspec.structs.replace(stored, body=stored.body.replace(old, new))


def another_decision(log: Log) -> int:
    at = index_of(log, ".model-coo.granted.")
    log[at] = changed(log[at], b'"microusd":', b'"microusd":9')
    return at


def a_letter_nobody_decided(log: Log) -> int:
    at = index_of(log, ".engineer.task.coo")
    headers = {**log[at].headers, "ce-id": "forged", "Nats-Msg-Id": "forged"}
    log.append(msgspec.structs.replace(log[at], seq=len(log) + 1, headers=headers))
    return len(log) - 1


def an_answer_to_nothing(log: Log) -> int:
    at = index_of(log, ".reply.model-engineer")
    headers = {**log[at].headers, "coo-cause": "engineer/nothing"}
    log[at] = msgspec.structs.replace(log[at], headers=headers)
    return at


def a_second_answer(log: Log) -> int:
    at = index_of(log, ".outcome.sandbox")
    headers = {**log[at].headers, "ce-id": "second"}
    log.append(msgspec.structs.replace(log[at], seq=len(log) + 1, headers=headers))
    return len(log) - 1


def a_checkpoint_of_another_state(log: Log) -> int:
    at = index_of(log, ".budget.checkpoint.budget")
    log[at] = changed(log[at], b'"posted":', b'"posted":1')
    return at


def test_an_honest_log_is_explained_to_the_last_letter(log: Log) -> None:
    report = checked(log)
    assert report.findings == ()
    assert report.letters > 50
    assert report.checkpoints > 3
    assert report.copies == ()


@pytest.mark.parametrize(
    "change",
    [
        another_decision,
        a_letter_nobody_decided,
        an_answer_to_nothing,
        a_second_answer,
        a_checkpoint_of_another_state,
    ],
)
def test_a_changed_log_is_not(log: Log, change: Callable[[Log], int]) -> None:
    log = list(log)
    at = change(log)
    assert log[at].seq in [finding.seq for finding in checked(log).findings]


def test_a_second_copy_is_harmless_and_reported(log: Log) -> None:
    at = index_of(log, ".engineer.task.coo")
    copy = msgspec.structs.replace(log[at], seq=len(log) + 1)
    report = checked([*log, copy])
    assert (report.findings, report.copies) == ((), (copy.seq,))
