"""An actor that is taken over cannot end a process, touch a mission that it does not name, or go unnamed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from actors.chaos.shown import Failed
from actors.cli.chaos import play_taken
from actors.performers.proofs import WakeProof
from actors.roles.coo import results
from actors.roles.coo.agenda import move
from actors.table import TABLE
from bus import envelope, fold, verify
from bus.loops import halts, publisher
from bus.loops import role as loop
from bus.verify import _Verifier

SEEDS = 8
SEARCHED = 40
"""Seeds in which a mutant must be noticed."""


@pytest.mark.parametrize("process", TABLE.processes)
def test_whatever_a_taken_actor_writes_what_is_promised_holds(process: str) -> None:
    for seed in range(SEEDS):
        play_taken(seed, process)


@pytest.mark.parametrize(
    ("process", "seed"),
    [
        ("qa", 30028),  # a checkpoint under an id that was taken stops its key and not the process
        ("qa", 700053),
        ("engineer", 700036),
        ("budget", 80014),  # a grant of a version that had been taken over is not believed
        ("budget", 700099),
        ("budget", 911135),  # a copy names the same cause
        ("coo", 910055),
        ("coo", 920010),  # an honest letter is no copy of what took its id before it
        ("engineer", 910499),  # the fold of a checkpoint may be any bytes
        ("engineer", 920722),  # a mission whose own deadline passes in a storm may fail of it
        ("engineer", 910602),  # a lower version has the same fold where nobody took over another
        ("qa", 910243),  # a checkpoint of a lower version can be read
    ],
)
def test_what_an_attack_has_once_broken_holds(process: str, seed: int) -> None:
    play_taken(seed, process)


# -- broken on purpose: each is noticed -----------------------------------------------------------------


def bad_subjects_open_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (fold, loop):
        monkeypatch.setattr(module, "misaddressed", lambda *args: None)


def any_depth_is_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(envelope, "depth_of", lambda body: 0)


def readers_raise_on_what_is_no_mail(monkeypatch: pytest.MonkeyPatch) -> None:
    def opened(table: Any, stored: Any) -> Any:
        return envelope.open_mail(table, stored, stored.time_ns)

    monkeypatch.setattr(halts, "readable", opened)


def a_squatted_id_counts_as_published(monkeypatch: pytest.MonkeyPatch) -> None:
    async def compare(*args: Any) -> None:
        return None

    monkeypatch.setattr(publisher, "_compare", compare)


def a_release_is_not_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    step = results._next

    def next_step(desk: Any) -> Any:
        changed = step(desk)
        return move(desk, "approved, last task") if changed.stage == "releasing" else changed

    monkeypatch.setattr(results, "_next", next_step)


def answers_are_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_Verifier, "_explain_answer", lambda self, *args: None)


def answers_are_never_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verify, "letter_id_of", lambda *args: "")


def bad_subjects_are_not_named(monkeypatch: pytest.MonkeyPatch) -> None:
    find = _Verifier.find

    def found(self: _Verifier, stored: Any, why: str) -> None:
        if "bad_subject" not in why:
            find(self, stored, why)

    monkeypatch.setattr(_Verifier, "find", found)


def dead_letters_are_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_Verifier, "explain_dead", lambda self, *args: ())


def dead_letters_are_never_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_Verifier, "_is_copy", lambda self, *args: False)


def checkpoints_of_the_clock_are_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(WakeProof, "__call__", lambda self, *args: True)


@pytest.mark.parametrize(
    ("break_it", "process"),
    [
        (bad_subjects_open_keys, "engineer"),
        (any_depth_is_decoded, "sandbox"),
        (readers_raise_on_what_is_no_mail, "coo"),
        (a_squatted_id_counts_as_published, "engineer"),
        (a_release_is_not_asked_for, "clock"),
        (answers_are_believed, "sandbox"),
        (answers_are_never_believed, "clock"),
        (bad_subjects_are_not_named, "engineer"),
        (dead_letters_are_believed, "qa"),
        (dead_letters_are_never_believed, "engineer"),
        (checkpoints_of_the_clock_are_believed, "clock"),
    ],
)
def test_a_broken_promise_is_noticed(
    monkeypatch: pytest.MonkeyPatch, break_it: Callable[[pytest.MonkeyPatch], None], process: str
) -> None:
    break_it(monkeypatch)
    with pytest.raises((Failed, AssertionError)):
        first_failure(process)


def first_failure(process: str) -> None:
    """Play seeds until one fails; raises what it fails with."""
    for seed in range(SEARCHED):
        play_taken(seed, process)


@pytest.mark.parametrize(("seed", "process"), [(500_061, "qa"), (700_002, "coo"), (700_018, "clock")])
def test_a_seed_that_failed_once_does_not_again(seed: int, process: str) -> None:
    play_taken(seed, process)
