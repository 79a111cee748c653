"""The company under a seeded scheduler, and proof that the suite would notice a broken loop."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable
from typing import Any

import pytest

from actors.chaos.clockwork import run as run_on_virtual_time
from actors.chaos.faults import CALM, PROFILES, Odds
from actors.chaos.simulation import Failed, Simulation, calm, simulate
from actors.messages import Sent
from actors.performers.purse import Purse, _Claim
from bus import fold as folding
from bus.fold import Fold
from bus.loop import RoleLoop
from bus.subjects import MAIL_STREAM, mailbox_filter

SEEDS = 48
SWEPT = 9
"""Every how manieth step of each actor is a crash point here; `coo chaos --sweep` takes all of them."""


@pytest.mark.parametrize("first", range(0, SEEDS, 8))
def test_no_seed_changes_the_end_the_deliverable_or_the_money(first: int) -> None:
    for seed in range(first, first + 8):
        simulate(seed, replicas=1 + seed % 3 % 2)


def test_the_seeds_do_kill_and_doubt() -> None:
    endings = [simulate(seed) for seed in range(1, 24, 4)]
    assert sum(ending.crashes for ending in endings) > 10


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
    def settle(self: RoleLoop, key: Any, delivery: Any) -> None:
        self.handled(delivery)

    monkeypatch.setattr(RoleLoop, "_settle", settle)


def no_seen_ids(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Fold, "_is_repeated", lambda self, mail: False)


def random_letter_ids(monkeypatch: pytest.MonkeyPatch) -> None:
    seal = folding.seal

    def sealed(*args: Any, **more: Any) -> Any:
        return seal(*args, **{**more, "ordinal": random.getrandbits(60)})

    monkeypatch.setattr(folding, "seal", sealed)


def incomplete_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    async def read_ahead(self: RoleLoop, key: Any) -> None:
        pattern = mailbox_filter(self.role.name, "*" if self._per_company else key.name)
        key.ahead.extend(await self.carrier.read(MAIL_STREAM, pattern, key.complete_to + 1))
        key.complete_to = 10**9

    monkeypatch.setattr(RoleLoop, "_read_ahead", read_ahead)


def letters_of_own_mail_only(monkeypatch: pytest.MonkeyPatch) -> None:
    missing, catch_up = RoleLoop._missing, RoleLoop._catch_up
    own: dict[int, int] = {}

    async def caught_up(self: RoleLoop, key: Any, stored: Any) -> None:
        own[id(key)] = stored.seq
        await catch_up(self, key, stored)

    def published(self: RoleLoop, key: Any, decision: Any) -> Any:
        if own.get(id(key), decision.stored.seq) != decision.stored.seq:
            return ()
        return missing(self, key, decision)

    monkeypatch.setattr(RoleLoop, "_catch_up", caught_up)
    monkeypatch.setattr(RoleLoop, "_missing", published)


def checkpoint_before_its_letters(monkeypatch: pytest.MonkeyPatch) -> None:
    def take(self: RoleLoop, key: Any) -> None:
        key.snapshot = (key.fold.position, key.fold.snapshot())
        key.checkpoint_at = key.fold.count
        self.save(key)

    monkeypatch.setattr(RoleLoop, "_take_snapshot", take)


def two_callers_on_one_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    async def claim(self: Purse, order: Any, n: int, granted: Any) -> _Claim:
        sent = Sent(attempt=granted.attempt, nonce=self._nonce, microusd=granted.microusd)
        await self._write(order, sent, f"{n}.{self._nonce}")
        return _Claim(n, granted.expires_ns)

    monkeypatch.setattr(Purse, "_claim", claim)


KILLED = Odds(crash=0.05)
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
        (no_seen_ids, STOPPED),
        (random_letter_ids, PROFILES[0]),
        (incomplete_reads, PROFILES[3]),
        (letters_of_own_mail_only, KILLED),
        (checkpoint_before_its_letters, KILLED),
        (two_callers_on_one_sent, STOPPED),
    ],
)
def test_a_broken_loop_is_noticed(
    monkeypatch: pytest.MonkeyPatch, break_it: Callable[[pytest.MonkeyPatch], None], odds: Odds
) -> None:
    calm()
    break_it(monkeypatch)
    with pytest.raises((Failed, AssertionError)):
        first_failure(odds)
