"""What the CEO says after any message, and proof that who is not silent after the end is noticed."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import msgspec
import pytest

from actors.chaos import simulation as simulating
from actors.chaos.ceo import WORDS, Said
from actors.chaos.clockwork import run as run_on_virtual_time
from actors.chaos.faults import CALM, PROFILES, Odds
from actors.chaos.seeded import calm, simulate
from actors.chaos.shown import Failed
from actors.chaos.simulation import FIRST, Simulation
from actors.messages import Close, Control, GoOn, Outcome, Reply
from actors.performers.proofs import PERFORMERS
from actors.process import wiring as company
from actors.roles import engineer, qa
from actors.roles.coo import notices
from actors.roles.coo import role as coo
from actors.roles.worker import Orders
from actors.table import HALTS, TABLE
from bus.envelope import Letter, Mail
from bus.fold import Role, Step
from bus.verify import Finding, verify

SPOKEN = [odds for odds in PROFILES if odds.words]
SEEDS = 24
SWEPT = 11
"""Every how manieth message is one after which each word is said here; `coo chaos --sweep` takes all."""


@pytest.mark.parametrize("first", range(0, SEEDS, 8))
def test_whatever_the_ceo_says_a_mission_ends_and_is_silent(first: int) -> None:
    for seed in range(first, first + 8):
        simulate(seed, SPOKEN[seed % len(SPOKEN)], replicas=1 + seed % 3 % 2)


@pytest.mark.parametrize("word", WORDS)
def test_a_word_after_any_message_breaks_nothing(word: str) -> None:
    for step in range(FIRST + WORDS.index(word), calm().messages + 8, SWEPT):
        simulate(0, CALM, words=[Said(step, word)])


def test_the_seeds_do_say_everything_and_end_in_every_way() -> None:
    said, states = Counter[str](), Counter[str]()
    for seed in range(40):
        random.seed(seed)
        simulation = Simulation(seed, SPOKEN[0])
        run_on_virtual_time(simulation.play(1))
        assert simulation.ceo is not None
        said.update(simulation.ceo.said)
        states[simulation.ending().state] += 1
    assert set(said) == set(WORDS)
    assert set(states) == {"completed", "cancelled", "failed"}


@pytest.mark.parametrize("step", [76, 79])
def test_a_mission_paused_while_its_last_work_is_judged_asks_for_its_release_when_it_is_resumed(
    step: int,
) -> None:
    assert simulate(0, CALM, words=[Said(step, "pause")]).state == "completed"


@pytest.fixture(autouse=True)
def _own_roles() -> Iterator[None]:
    """Let nobody after a test here have the roles that it broke."""
    yield
    simulating._roles.cache_clear()


# -- broken ends ------------------------------------------------------------------------------------------


def _others(monkeypatch: pytest.MonkeyPatch, *changed: Role[Any]) -> None:
    """Let the company, and who verifies it, have other deciders for some roles."""
    find, others = company.role, {role.name: role for role in changed}

    def found(name: str) -> Role[Any]:
        return others.get(name) or find(name)

    monkeypatch.setattr(company, "role", found)
    monkeypatch.setattr(simulating, "role", found)


def _deaf(role: Role[Any]) -> Role[Any]:
    """Return the same role, but it does not hear of the end."""

    def handle(state: Any, mail: Mail) -> Step:
        return Step(state) if isinstance(mail.message, Close) else role.handle(state, mail)

    return replace(role, handle=handle)


def drops_sent_again_until_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """An order that was dropped, for good too, is sent again at once."""
    take = Orders.take

    def taken(self: Orders, mail: Mail) -> Orders:
        if isinstance(mail.message, Reply | Outcome) and mail.message.final:
            mail = msgspec.structs.replace(mail, message=msgspec.structs.replace(mail.message, final=False))
        return take(self, mail)

    def dropped(self: Orders, label: str, answer: Mail) -> tuple[Orders, list[Letter]]:
        return self, [self._letter(label, answer.cause.partition("/")[2])]

    monkeypatch.setattr(Orders, "take", taken)
    monkeypatch.setattr(Orders, "dropped", dropped)


def drops_sent_again(monkeypatch: pytest.MonkeyPatch) -> None:
    drops_sent_again_until_told(monkeypatch)
    end_not_heard(monkeypatch)


def end_not_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notices, "TOLD_OF_THE_END", ("budget",))


def end_not_told_to_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notices, "TOLD_OF_THE_END", ("budget", "engineer", "approval", "clock"))


def end_not_heard(monkeypatch: pytest.MonkeyPatch) -> None:
    _others(monkeypatch, _deaf(engineer.ROLE), _deaf(qa.ROLE))


def coo_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """The COO hears a `resume` after the end, and has the engineer go on."""

    def handle(desk: coo.Desk, mail: Mail) -> Step:
        step = coo.handle(desk, mail)
        if desk.final and isinstance(mail.message, Control):
            return Step(step.state, [*step.letters, Letter(to="engineer", message=GoOn())])
        return step

    _others(monkeypatch, replace(coo.ROLE, handle=handle))


TALKED = Odds(words=6)


def first_failure(odds: Odds) -> str:
    """Play seeds until one fails, and return what it fails with."""
    for seed in range(400):
        try:
            simulate(seed, odds)
        except Failed as error:
            return str(error)
    raise LookupError("no seed noticed it")


@pytest.mark.parametrize(
    ("break_it", "odds", "why"),
    [
        (drops_sent_again, TALKED, "the mission ended with"),
        (drops_sent_again_until_told, Odds(freeze=0.03, freeze_s=60.0, words=6), "the mission ended with"),
        (end_not_told, TALKED, "no end in"),
        (end_not_told_to_one, TALKED, "no end in"),
        (end_not_heard, TALKED, "of which"),
        (coo_goes_on, TALKED, "of which coo was told"),
    ],
)
def test_a_broken_end_is_noticed(
    monkeypatch: pytest.MonkeyPatch, break_it: Callable[[pytest.MonkeyPatch], None], odds: Odds, why: str
) -> None:
    calm()
    break_it(monkeypatch)
    simulating._roles.cache_clear()
    try:
        assert why in first_failure(odds)
    finally:
        simulating._roles.cache_clear()


# -- the oracle -------------------------------------------------------------------------------------------


def findings_of(log: Any, roles: dict[str, Role[Any]]) -> tuple[Finding, ...]:
    return verify(log, TABLE, roles, lambda ref: b"", PERFORMERS, halts=HALTS).findings


def ended_loudly(monkeypatch: pytest.MonkeyPatch, seconds: float = 0.5) -> Simulation:
    """Play a mission cancelled while a call is out, with workers that are never told, for a while."""
    drops_sent_again(monkeypatch)
    end_not_told(monkeypatch)
    simulation = Simulation(0, CALM, words=[Said(28, "cancel")])
    monkeypatch.setattr(Simulation, "is_at_rest", lambda self: bool(self.mail("close")))
    monkeypatch.setattr(simulating, "_LOUD_S", seconds)
    random.seed(0)
    run_on_virtual_time(simulation.play(1))
    return simulation


def test_verify_names_the_first_message_that_was_not_under_way_at_the_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    simulation = ended_loudly(monkeypatch)
    log = simulation.server.stream("COO").messages
    found = findings_of(log, simulation.newest)
    assert found
    assert {one.why.partition(" message ")[0] for one in found} == {"the mission ended with"}
    end = next(one.seq for one, status in simulation.mail("status") if status.state == "cancelled")
    first = log[found[0].seq - 1]
    assert first.seq > end
    assert found[0].subject == first.subject
    under_way = [one.subject.split(".")[4] for one in log[end : first.seq - 1] if ".m-1." in one.subject]
    assert len([kind for kind in under_way if kind in ("execute", "outcome")]) <= 3


def test_verify_says_nothing_of_a_mission_that_was_silent() -> None:
    for step in (17, 28, 35):
        random.seed(0)
        simulation = Simulation(0, CALM, words=[Said(step, "cancel")])
        run_on_virtual_time(simulation.play(1))
        assert simulation.ending().state == "cancelled"
        assert findings_of(simulation.server.stream("COO").messages, simulation.newest) == ()


def test_verify_names_a_letter_of_a_role_that_was_told_of_the_end() -> None:
    random.seed(0)
    simulation = Simulation(0, CALM, words=[Said(28, "cancel")])
    run_on_virtual_time(simulation.play(1))
    log = list(simulation.server.stream("COO").messages)
    close = next(one for one in log if ".engineer.close." in one.subject)
    call = next(one for one in log if ".model-engineer.call." in one.subject)
    headers = {**call.headers, "ce-id": "again", "Nats-Msg-Id": "again", "coo-at": str(close.seq + 1)}
    log.append(msgspec.structs.replace(call, seq=len(log) + 1, headers=headers))
    roles = {name: one for name, one in simulation.newest.items() if name != "engineer"}
    (found,) = findings_of(log, roles)
    assert found.seq == len(log)
    assert "of which engineer was told before this" in found.why
