"""The desk's ledger of a mission against the guard's own, on the same mail."""

from __future__ import annotations

from dataclasses import dataclass, field

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from actors import messages as m
from actors.projections.account import Account, Balance
from actors.projections.record import Record
from actors.roles.budget import role as budget
from actors.table import TABLE
from bus.envelope import Cause, Outgoing, Stored, seal
from bus.fold import Fold

SECOND = 1_000_000_000
START = 1_790_000_000 * SECOND
MISSION = "m-1"
MODELS = ("model-coo", "model-engineer")


@dataclass
class World:
    """A log, and the guard that folds its share of it; what the guard says is logged after a delay."""

    log: list[Stored] = field(default_factory=list)
    waiting: list[tuple[int, Outgoing]] = field(default_factory=list)
    guard: Fold[budget.Ledger] = field(default_factory=lambda: Fold(TABLE, budget.ROLE))
    now_ns: int = START

    def write(
        self, sender: str, message: msgspec.Struct, *, id: int, to: str = "budget", lag: int = 0
    ) -> None:
        mission = "company" if isinstance(message, m.Limits | m.Tick) else MISSION
        letter = seal(
            TABLE,
            sender=sender,
            version=1,
            to=to,
            mission=mission,
            message=message,
            cause=Cause("ceo", str(id), 0, START, ""),
        )
        decided = self.guard.apply(self.append(letter))
        assert decided.dead is None or decided.dead.detail.startswith("NotBooked")
        self.waiting += [(lag, letter) for letter in decided.letters]
        self.flush()

    def flush(self, after: int = 0) -> None:
        """Log what the guard said and whose delay is over, at most `after` messages early."""
        due = [letter for lag, letter in self.waiting if lag <= after]
        self.waiting = [(lag - 1, letter) for lag, letter in self.waiting if lag > after]
        for letter in due:
            self.append(letter)

    def append(self, letter: Outgoing) -> Stored:
        stored = Stored(len(self.log) + 1, self.now_ns, letter.subject, letter.headers, letter.body)
        self.log.append(stored)
        return stored

    def guards(self) -> tuple[int, int]:
        account = self.guard.state.missions[MISSION].account
        return account.posted, account.pending

    def desks(self) -> tuple[int, int]:
        record = Record(MISSION)
        for stored in self.log:
            if stored.subject.startswith(f"coo.m.{MISSION}."):
                record.add(stored)
        balance = record.account.balance(self.now_ns)
        return balance.spent_microusd, balance.held_microusd


def opened(cap: int) -> World:
    world = World()
    limits = m.Limits(day_microusd=10**12, month_microusd=10**12, mission_microusd=1)
    world.write("ceo", limits, id=-2)
    world.write("coo", m.Open(cap_microusd=cap), id=-1)
    return world


attempts = st.sampled_from(["a.1", "a.2", "b.1"])
amounts = st.integers(min_value=0, max_value=40)
facts = st.one_of(
    st.builds(
        m.Reserve,
        attempt=attempts,
        microusd=amounts,
        timeout_s=st.integers(1, 6),
        floor=st.integers(0, 9),
        wait_s=st.integers(0, 5),
    ),
    st.builds(m.Sent, attempt=attempts, nonce=st.sampled_from("no"), microusd=amounts),
    st.builds(
        m.Settle, attempt=attempts, microusd=st.integers(0, 60), doubt=st.sampled_from(["", "no tokens"])
    ),
    st.builds(m.Void, attempt=attempts, proof=st.just("not_sent"), nonce=st.sampled_from(["", "n"])),
)
steps = st.lists(
    st.tuples(st.sampled_from(MODELS), facts, st.integers(0, 4), st.integers(0, 3), st.booleans()),
    max_size=25,
)


@settings(max_examples=50)
@given(st.integers(1, 120), steps)
def test_it_agrees_with_the_guard_after_every_mail(cap: int, steps: list) -> None:
    world = opened(cap)
    for n, (sender, fact, pause_s, _, _) in enumerate(steps):
        world.now_ns += pause_s * SECOND
        world.write(sender, fact, id=n)
        assert world.desks() == world.guards()


@settings(max_examples=50)
@given(st.integers(1, 120), steps)
def test_it_agrees_in_the_end_when_the_guard_answers_late_and_mail_comes_twice(cap: int, steps: list) -> None:
    world = opened(cap)
    for n, (sender, fact, pause_s, lag, twice) in enumerate(steps):
        world.now_ns += pause_s * SECOND
        for _ in range(1 + twice):
            world.write(sender, fact, id=n, lag=lag)
    world.flush(after=10)
    world.now_ns += 3 * SECOND
    world.write("clock", m.Tick(name="expiry", at_ns=world.now_ns), id=10_000)
    assert world.desks() == world.guards()


def spent(*history: tuple[int, msgspec.Struct], at_s: int) -> Balance:
    """Return the balance after a history of (second, message), the guard's grants being its own."""
    world = opened(1_000)
    for n, (second, message) in enumerate(history):
        world.now_ns = START + second * SECOND
        world.write("model-coo", message, id=n)
    record = Record(MISSION)
    for stored in world.log:
        record.add(stored)
    return record.account.balance(START + at_s * SECOND)


RESERVE = m.Reserve(attempt="a.1", microusd=100, timeout_s=10)
SENT = m.Sent(attempt="a.1", nonce="n", microusd=100)
SETTLE = m.Settle(attempt="a.1", microusd=30)


def test_what_was_granted_is_held_until_it_expires() -> None:
    assert spent((0, RESERVE), at_s=9) == Balance(0, 0, 100)
    assert spent((0, RESERVE), at_s=10) == Balance(0, 0, 0)


def test_what_was_sent_and_not_settled_is_spent_at_the_worst_case_and_in_doubt() -> None:
    assert spent((0, RESERVE), (1, SENT), at_s=9) == Balance(0, 0, 100)
    assert spent((0, RESERVE), (1, SENT), at_s=10) == Balance(100, 100, 0)


def test_a_late_settlement_corrects_what_was_in_doubt() -> None:
    assert spent((0, RESERVE), (1, SENT), (20, SETTLE), at_s=20) == Balance(30, 0, 0)


def test_a_settlement_is_spent_exactly_and_once() -> None:
    again = m.Settle(attempt="a.1", microusd=31)
    assert spent((0, RESERVE), (1, SENT), (2, SETTLE), (3, again), at_s=99) == Balance(30, 0, 0)


def test_what_was_given_back_costs_nothing() -> None:
    void = m.Void(attempt="a.1", proof="not_sent", nonce="n")
    assert spent((0, RESERVE), (1, SENT), (2, void), at_s=99) == Balance(0, 0, 0)


def test_an_account_without_mail_is_empty() -> None:
    assert Account().balance(START) == Balance(0, 0, 0)
