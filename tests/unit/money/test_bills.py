"""What a bill may move: its mission in full, day and month by its hold, and by more when the CEO says so."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import pytest
from guard_world import MODEL, GuardWorld, granted, refused, world
from hypothesis import given, settings
from hypothesis import strategies as st

from actors import messages as m
from actors.projections.audit import Proof, prove
from actors.projections.guard import Letters, TakeOver
from actors.roles.budget.billing import MOST_ATTEMPTS
from actors.roles.budget.ledger import Account, Ledger, book
from actors.roles.budget.role import ROLE
from actors.table import TABLE
from bus.envelope import Mail
from bus.fold import Fold, Role, Step
from bus.table import Checkpoint, Ref

CENT = 10_000
DOLLAR = 10**6


def company_of_two() -> GuardWorld:
    """Two missions of a dollar each, in a company with ten dollars a day."""
    return GuardWorld().limits(10 * DOLLAR, 20 * DOLLAR).open(DOLLAR).open(DOLLAR, "other")


# -- no single figure stops the company -------------------------------------------------------------------


def test_a_cost_far_above_its_hold_is_booked_on_its_mission_and_stops_no_other() -> None:
    guard = company_of_two()
    guard.reserve("a.1", 35_000)
    guard.settle("a.1", 5_000 * DOLLAR)
    account, day, month = guard.balances()
    assert account == Account(posted=5_000 * DOLLAR)
    assert day == month == Account(posted=35_000)
    assert refused(guard.reserve("a.2", 1))[0] == "overrun"
    assert granted(guard.reserve("b.1", DOLLAR, "other")) == DOLLAR
    proof = guard.proof()
    assert proof.violations == []
    assert proof.books.overruns == [
        "message 5: a.1 was billed 5000000000, 35000 were held; "
        "4999965000 of it count when the cap of m-1 is raised"
    ]


def test_a_bill_without_a_hold_moves_neither_day_nor_month() -> None:
    guard = company_of_two()
    guard.settle("x.1", 200 * DOLLAR)
    assert guard.mission().account == Account(posted=200 * DOLLAR)
    assert set(guard.ledger.days.values()) | set(guard.ledger.months.values()) <= {Account()}
    assert granted(guard.reserve("b.1", DOLLAR, "other")) == DOLLAR
    assert guard.proof().violations == []


def test_a_bill_for_a_mission_that_nobody_gave_is_booked_there_alone_and_named_by_an_audit() -> None:
    guard = company_of_two()
    guard.settle("x.1", 200 * DOLLAR, "ghost")
    assert (guard.mission("ghost").account, guard.mission("ghost").frozen) == (
        Account(posted=200 * DOLLAR),
        "unheld_settlement",
    )
    assert set(guard.ledger.days.values()) | set(guard.ledger.months.values()) <= {Account()}
    assert granted(guard.reserve("b.1", DOLLAR, "other")) == DOLLAR
    proof = guard.proof()
    assert proof.violations == []
    assert "message 4: x.1 was billed 200000000, 0 were held" in proof.books.overruns[0]


def test_a_bill_for_a_mission_that_is_closed_is_named_by_an_audit_and_moves_nothing() -> None:
    guard = world(100)
    guard.write(m.Close(state="completed"))
    assert guard.apply(m.Settle(attempt="x.1", microusd=9)).dead is not None
    guard.open(100, "m-2")
    guard.reserve("b.1", 9, "m-2")
    proof = guard.proof()
    assert proof.violations == []
    assert "is closed: not booked" in proof.books.overruns[0]


def test_what_is_above_a_hold_counts_for_the_company_when_the_ceo_raises_the_cap_to_cover_it() -> None:
    guard = company_of_two()
    guard.reserve("a.1", 35_000)
    guard.settle("a.1", 3 * DOLLAR)
    guard.write(m.Raise(digest="little", microusd=DOLLAR, asked=False))
    assert guard.balances()[1] == Account(posted=35_000)
    assert refused(guard.reserve("a.2", 1)) == ("mission", 1, 0)
    guard.write(m.Raise(digest="enough", microusd=2 * DOLLAR, asked=False))
    assert guard.balances()[1] == guard.balances()[2] == Account(posted=3 * DOLLAR)
    assert granted(guard.reserve("a.3", DOLLAR)) == DOLLAR
    proof = guard.proof()
    assert proof.violations == []
    assert [entry.what for entry in proof.books.entries] == ["held", "settled", "accepted", "held"]


def test_a_mission_has_a_bounded_number_of_bills_that_nobody_asked_for() -> None:
    guard = world(100)
    account = guard.mission()
    full = dict.fromkeys((f"x.{n}" for n in range(MOST_ATTEMPTS)), guard_hold())
    guard.fold.state = guard.ledger.mission("m-1", msgspec.structs.replace(account, over=full))
    assert guard.apply(m.Settle(attempt="y.1", microusd=1)).dead is not None
    assert refused(guard.reserve("z.1", 1))[0] == "too_many_attempts"


def guard_hold() -> object:
    guard = world(100)
    guard.settle("x.1", 0)
    return guard.hold("x.1")


# -- what cannot be a bill --------------------------------------------------------------------------------


@pytest.mark.parametrize("claimed", [0, 39, 40])
def test_a_doubted_bill_is_booked_at_its_hold_and_in_doubt(claimed: int) -> None:
    guard = world(100)
    guard.reserve("a.1", 40, tokens=7)
    guard.sent("a.1")
    bill = m.Settle(attempt="a.1", microusd=claimed, input_tokens=9, doubt="no tokens for a text")
    assert guard.write(bill) == []
    assert set(guard.balances()) == {Account(posted=40)}
    assert (guard.mission().in_doubt, guard.mission().tokens[MODEL]) == (40, Account(posted=7))
    proof = guard.proof()
    assert proof.violations == []
    assert proof.books.implausible == [
        "message 5: a.1 of m-1: no tokens for a text; booked at its hold, in doubt"
    ]
    guard.settle("a.1", 25)
    assert guard.mission().account == Account(posted=25)
    assert guard.proof().violations == []


def test_a_doubted_bill_far_above_its_hold_is_booked_at_the_hold_and_freezes_its_mission() -> None:
    guard = company_of_two()
    guard.reserve("a.1", 35_000)
    told = guard.write(m.Settle(attempt="a.1", microusd=450 * DOLLAR, doubt="90000000 tokens"))
    assert told == [
        m.Frozen(
            reason="overrun", attempt="a.1", held_microusd=35_000, cost_microusd=450 * DOLLAR, doubted=True
        )
    ]
    assert set(guard.balances()) == {Account(posted=35_000)}
    assert refused(guard.reserve("a.2", 1))[0] == "overrun"
    assert granted(guard.reserve("b.1", DOLLAR, "other")) == DOLLAR
    assert guard.proof().violations == []


@pytest.mark.parametrize(
    ("bill", "why"),
    [
        (m.Settle(attempt="a.1", microusd=0), "0 and 0 tokens were billed for 900 bytes"),
        (m.Settle(attempt="a.1", microusd=1, input_tokens=9), "9 and 0 tokens were billed for 900 bytes"),
        (m.Settle(attempt="a.1", microusd=1, output_tokens=90), "0 and 90 tokens were billed for 900 bytes"),
        (
            m.Settle(attempt="a.1", microusd=1, input_tokens=500, output_tokens=90 * 10**6),
            "90000500 tokens were billed, 1000 were held",
        ),
    ],
)
def test_an_audit_names_usage_that_cannot_be_the_bill_whoever_believed_it(bill: m.Settle, why: str) -> None:
    guard = world(100)
    guard.reserve("a.1", 40, tokens=1_000)
    guard.write(msgspec.structs.replace(bill, answer=Ref(owner=MODEL, digest="d", size=900)))
    proof = guard.proof()
    assert proof.violations == []
    assert why in proof.books.implausible[0]


figures = st.sampled_from([0, 1, CENT, DOLLAR, 200 * DOLLAR, 5_000 * DOLLAR, 10**15])
names = st.sampled_from(["a", "b", "c"])
steps = st.one_of(
    st.builds(m.Reserve, attempt=names, microusd=st.sampled_from([CENT, DOLLAR]), timeout_s=st.just(9)),
    st.builds(m.Sent, attempt=names, nonce=st.just("n"), microusd=st.just(0)),
    st.builds(m.Settle, attempt=names, microusd=figures, doubt=st.sampled_from(["", "x"])),
    st.builds(m.Void, attempt=names, proof=st.just("not_sent"), nonce=st.just("n")),
)


@settings(max_examples=80)
@given(st.lists(st.tuples(st.sampled_from(["m-1", "other", "ghost"]), steps, st.integers(0, 9)), max_size=30))
def test_whatever_is_billed_day_and_month_are_moved_by_what_was_held_at_most(sequence: list) -> None:
    guard = company_of_two()
    held = 0
    for mission, message, pause_s in sequence:
        guard.later(pause_s)
        guard.apply(message, mission)
        held = sum(
            hold.held
            for one in guard.ledger.missions.values()
            for hold in one.holds.values()
            if hold.status in ("held", "sent", "settled", "in_doubt")
        )
        for account in (*guard.ledger.days.values(), *guard.ledger.months.values()):
            assert 0 <= account.posted + account.pending <= held
    booked = sum(one.account.posted for one in guard.ledger.missions.values())
    assert booked >= sum(day.posted for day in guard.ledger.days.values())


# -- what earlier versions booked -------------------------------------------------------------------------


def in_full(ledger: Ledger, mail: Mail) -> Step:
    """Decide as versions below 4 did: day and month are moved by every bill in full."""
    step = ROLE.handle(ledger, mail)
    state = step.state
    for name, mission in state.missions.items():
        for attempt, hold in mission.over.items():
            state = book(state, name, attempt, msgspec.structs.replace(hold, aside=0))
    return Step(state, step.letters, step.forget)


OLD: Role[Ledger] = replace(ROLE, version=3, handle=in_full)


def upgraded() -> tuple[GuardWorld, list[TakeOver]]:
    """Return a log whose first half was decided by version 3, and the checkpoints between the halves."""
    guard = GuardWorld(fold=Fold(TABLE, OLD)).limits(10 * DOLLAR, 20 * DOLLAR).open(DOLLAR)
    guard.open(DOLLAR, "other").open(DOLLAR, "third")
    guard.reserve("a.1", 35_000)
    guard.settle("a.1", 9 * DOLLAR)
    assert granted(guard.reserve("b.1", DOLLAR, "other")) == DOLLAR
    assert guard.reserve("c.1", DOLLAR, "third") == []
    at, snapshot = len(guard.log), guard.fold.snapshot()
    guard.fold = Fold(TABLE, ROLE)
    guard.fold.restore(Checkpoint(version=3, position=at), snapshot)
    later = 2 * len(guard.log) + 100
    return guard, [TakeOver(3, at, snapshot, later), TakeOver(4, at, snapshot, later)]


def proof_of(guard: GuardWorld, taken_over: list[TakeOver]) -> Proof:
    return prove(Letters(guard.log, guard.decided, tuple(taken_over)))


def test_an_audit_of_what_an_earlier_version_decided_finds_no_false_violation() -> None:
    guard, taken_over = upgraded()
    proof = proof_of(guard, taken_over[:1])
    assert proof.violations == []
    assert proof.earlier > 0
    assert guard.balances()[1].posted == 9 * DOLLAR


def test_an_audit_goes_on_from_where_this_version_took_over() -> None:
    guard, taken_over = upgraded()
    guard.settle("b.1", 3 * DOLLAR, "other")
    assert guard.balances()[1].posted == 10 * DOLLAR
    proof = proof_of(guard, taken_over)
    assert proof.violations == []
    seq = max(seq for seq, letters in guard.decided.items() if ".frozen." in letters[0].subject)
    forged, *others = guard.decided[seq]
    body = forged.body.replace(b'"held_microusd":1000000', b'"held_microusd":1000001')
    guard.decided[seq] = [msgspec.structs.replace(forged, body=body), *others]
    assert "do not say this frozen (I18)" in proof_of(guard, taken_over).violations[0]
