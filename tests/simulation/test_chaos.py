"""The company under a seeded scheduler, and proof that the suite would notice a broken loop."""

from __future__ import annotations

import asyncio
import hashlib
import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import msgspec
import pytest

from actors.chaos.clockwork import run as run_on_virtual_time
from actors.chaos.faults import CALM, PROFILES, Odds
from actors.chaos.seeded import calm, simulate
from actors.chaos.shown import Failed
from actors.chaos.simulation import Simulation
from actors.messages import Call, Execute, Sent
from actors.performers.model.purse import Purse, _Claim
from bus import fold as folding
from bus.envelope import Letter, Mail
from bus.fold import Fold, Role, Step
from bus.loops.key import Key
from bus.loops.role import RoleLoop
from bus.loops.saving import Saver
from bus.subjects import ANY, MAIL_STREAM, mailbox_filter

SEEDS = 48
SWEPT = 9
"""Every how manieth step of each actor is a crash point here; `coo chaos --sweep` takes all of them."""


@pytest.mark.parametrize("first", range(0, SEEDS, 8))
def test_no_seed_changes_the_end_the_deliverable_or_the_money(first: int) -> None:
    for seed in range(first, first + 8):
        simulate(seed, replicas=1 + seed % 3 % 2)


def test_the_seeds_do_kill_and_doubt() -> None:
    endings = [simulate(seed, PROFILES[1]) for seed in range(6)]
    assert sum(ending.crashes for ending in endings) > 10


REDELIVERED = Odds(crash=0.004, slow=0.15, slow_delay_s=4.0, late=0.15, late_ack=0.15)
FAILING = Odds(crash=0.004, engine_failure=0.2, bad_bills=2)
UPGRADED = Odds(crash=0.01, freeze=0.004, freeze_s=90.0, upgrade=True)


@pytest.mark.parametrize(
    ("seed", "odds"),
    [
        pytest.param(140, REDELIVERED, id="an order that came again while it was performed"),
        pytest.param(21499, PROFILES[3], id="a copy of an order that was answered before the copy"),
        pytest.param(205, FAILING, id="a state whose mappings lost their order in a checkpoint"),
    ],
)
def test_a_seed_that_failed_once_does_not_again(seed: int, odds: Odds) -> None:
    simulate(seed, odds, replicas=1 + seed % 3 % 2)


def test_processes_of_two_versions_replaced_at_any_time_change_nothing() -> None:
    endings = [simulate(seed, UPGRADED, replicas=1 + seed % 2) for seed in range(12)]
    assert sum(ending.replaced for ending in endings) > 60
    assert sum(ending.crashes for ending in endings) > 12


def another_qa(before: Role[Any]) -> Role[Any]:
    """A next version whose QA says otherwise what it was asked; the others decide as before."""

    def handle(state: Any, mail: Mail) -> Step:
        step = before.handle(state, mail)
        letters = [_otherwise(letter) for letter in step.letters]
        return Step(step.state, letters, step.forget)

    return replace(
        before, version=before.version + 1, handle=handle if before.name == "qa" else before.handle
    )


def _otherwise(letter: Letter) -> Letter:
    match letter.message:
        case Call() as call:
            order: Any = msgspec.structs.replace(call, max_output_tokens=call.max_output_tokens - 1)
        case Execute() as run:
            order = msgspec.structs.replace(run, timeout_s=run.timeout_s + 1)
        case _:
            return letter
    return msgspec.structs.replace(letter, message=order)


def test_a_new_version_that_decides_old_mail_otherwise_stops_the_mission_or_finishes_it() -> None:
    """It goes on where nothing is left to compare, and stops where something is; nothing else happens."""
    stopped, finished = 0, 0
    for seed in range(26, 226):  # few seeds kill QA between a letter and its checkpoint
        if stopped and finished:
            break
        random.seed(seed)
        simulation = Simulation(seed, UPGRADED, upgrade=another_qa)
        try:
            run_on_virtual_time(simulation.play(1 + seed % 2))
        except Failed:
            errors = [error for _, error in simulation.mail("error")]
            assert {(error.mailbox, error.reason) for error in errors} == {("qa", "decision_changed")}
            status = simulation.state()
            assert status is not None
            assert status.state == "paused_error"
            assert f"message {errors[0].seq}" in status.reason
            assert simulation.error is None
            stopped += 1
        else:
            assert simulation.ending().deliverable == calm().deliverable
            finished += 1
    assert stopped > 0
    assert finished > 0


@pytest.mark.parametrize("actor", [f"{name}-0" for name in ("coo", "engineer", "qa", "budget", "sandbox")])
def test_a_kill_at_any_step_changes_nothing(actor: str) -> None:
    for step in range(1, calm().steps[actor] + 1, SWEPT):
        simulate(0, CALM, crash=(actor, step))


def test_the_same_seed_gives_the_same_log() -> None:
    def log_of(seed: int) -> str:
        random.seed(seed)
        simulation = Simulation(seed, PROFILES[0])
        run_on_virtual_time(simulation.play(2))
        lines = [
            f"{stored.time_ns} {stored.subject} {stored.headers['ce-id']}"
            for stored in simulation.server.stream("COO").messages
        ]
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()

    assert log_of(3) == log_of(3) != log_of(4)


# -- broken loops ---------------------------------------------------------------------------------------


def ack_before_publishing(monkeypatch: pytest.MonkeyPatch) -> None:
    def settle(self: Key, delivery: Any) -> None:
        self.means.deliveries.handled(delivery)

    monkeypatch.setattr(Key, "settle", settle)


def no_seen_ids(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Fold, "_is_repeated", lambda self, mail: False)


def random_letter_ids(monkeypatch: pytest.MonkeyPatch) -> None:
    seal = folding.seal

    def sealed(*args: Any, **more: Any) -> Any:
        return seal(*args, **{**more, "ordinal": random.getrandbits(60)})

    monkeypatch.setattr(folding, "seal", sealed)


def incomplete_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    async def read_ahead(self: Key, behind: Any) -> None:
        pattern = mailbox_filter(self.means.role.name, ANY if self.means.per_company else self.name)
        self.ahead.extend(await self.means.carrier.read(MAIL_STREAM, pattern, self.complete_to + 1))
        self.complete_to = 10**9

    monkeypatch.setattr(Key, "_read_ahead", read_ahead)


def letters_of_own_mail_only(monkeypatch: pytest.MonkeyPatch) -> None:
    missing, catch_up = Key._missing, Key.catch_up
    own: dict[int, int] = {}

    async def caught_up(self: Key, stored: Any) -> None:
        own[id(self)] = stored.seq
        await catch_up(self, stored)

    def published(self: Key, decision: Any) -> Any:
        if own.get(id(self), decision.stored.seq) != decision.stored.seq:
            return ()
        return missing(self, decision)

    monkeypatch.setattr(Key, "catch_up", caught_up)
    monkeypatch.setattr(Key, "_missing", published)


def checkpoint_before_its_letters(monkeypatch: pytest.MonkeyPatch) -> None:
    def take(self: Saver, key: Any) -> None:
        key.snapshot = (key.fold.position, key.fold.snapshot())
        key.checkpoint_at = key.fold.count
        self.save(key)

    monkeypatch.setattr(Saver, "snapshot", take)


def two_callers_on_one_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    async def claim(self: Purse, order: Any, n: int, granted: Any) -> _Claim:
        sent = Sent(attempt=granted.attempt, nonce=self._nonce, microusd=granted.microusd)
        await self._write(order, sent)
        return _Claim(n, granted.expires_ns)

    monkeypatch.setattr(Purse, "_claim", claim)


class Retried(Exception):
    """The mail is to be delivered again."""


def raise_retried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give a mail back that the role raised on, and go on with the others; one read from the log waits."""
    fold, fold_read, on_delivery = Key.decide, Key._fold_read, RoleLoop._on_delivery

    def raised(self: Fold[Any], stored: Any, mail: Any, error: Exception) -> Any:
        raise Retried from error

    def unfolded(self: Key, stored: Any) -> None:
        assert self.fold is not None
        before = self.fold.copy()
        try:
            fold(self, stored)
        except Retried:
            self.fold = before
            raise

    async def read_again(self: Key, stored: Any) -> None:
        try:
            await fold_read(self, stored)
        except Retried:
            await asyncio.sleep(1.0)
            self.ahead.appendleft(stored)

    async def given_back(self: RoleLoop, delivery: Any) -> None:
        try:
            await on_delivery(self, delivery)
        except Retried:
            self._means.deliveries.give_back(delivery, 1.0)

    monkeypatch.setattr(Fold, "_raised", raised)
    monkeypatch.setattr(Key, "decide", unfolded)
    monkeypatch.setattr(Key, "_fold_read", read_again)
    monkeypatch.setattr(RoleLoop, "_on_delivery", given_back)


KILLED = Odds(crash=0.05)
REPEATED = Odds(crash=0.0, freeze=0.03, freeze_s=200.0, lost_puback=0.4)
BILLED = Odds(bad_bills=2)
STOPPED = Odds(crash=0.0, freeze=0.05, freeze_s=150.0)


def first_failure(odds: Odds) -> None:
    """Play seeds until one fails; raises what it fails with."""
    for seed in range(400):
        simulate(seed, odds, replicas=1 + seed % 3 % 2)
    raise LookupError("no seed noticed it")


@pytest.mark.parametrize(
    ("break_it", "odds"),
    [
        (ack_before_publishing, KILLED),
        (no_seen_ids, REPEATED),
        (random_letter_ids, PROFILES[0]),
        (incomplete_reads, PROFILES[3]),
        (letters_of_own_mail_only, KILLED),
        (checkpoint_before_its_letters, KILLED),
        (two_callers_on_one_sent, STOPPED),
        (raise_retried, BILLED),
    ],
)
def test_a_broken_loop_is_noticed(
    monkeypatch: pytest.MonkeyPatch, break_it: Callable[[pytest.MonkeyPatch], None], odds: Odds
) -> None:
    calm()
    break_it(monkeypatch)
    with pytest.raises((Failed, AssertionError)):
        first_failure(odds)
