"""Reserves that wait: in order, bounded, and in nobody's way who does not share what they wait for."""

from __future__ import annotations

import pytest
from guard_world import MODEL, SECOND, GuardWorld, granted, world
from hypothesis import given, settings
from hypothesis import strategies as st

from actors import messages as m
from actors.roles.budget import waiting
from actors.roles.budget.fitting import LONGEST_S
from actors.roles.budget.waiting import MOST_OF_MISSION, MOST_OF_SENDER


def full(missions: int, each: int, sender: str = MODEL) -> GuardWorld:
    """Return a guard with missions whose caps are held, and `each` reserves waiting in each of them."""
    guard = GuardWorld().limits(10**9, 10**9)
    for n in range(missions):
        guard.open(100, f"full-{n}")
        guard.write(m.Reserve(attempt="first", microusd=100, timeout_s=10_000), f"full-{n}", sender)
    for k in range(each):
        for n in range(missions):
            order = m.Reserve(attempt=f"w.{k}", microusd=10, timeout_s=60, wait_s=10_000)
            guard.write(order, f"full-{n}", sender)
    return guard


def test_of_one_mission_a_bounded_number_waits_and_one_more_is_refused_with_the_reason() -> None:
    guard = full(1, MOST_OF_MISSION)
    assert len(guard.ledger.waiting) == MOST_OF_MISSION
    order = m.Reserve(attempt="more", microusd=10, timeout_s=60)
    (told,) = guard.write(order, "full-0")
    assert (told.refusal.scope, told.refusal.needed_microusd) == ("too_many_waiting", 10)
    assert guard.write(order, "full-0") == [told]
    assert len(guard.ledger.waiting) == MOST_OF_MISSION
    guard.open(100, "other")
    assert granted(guard.reserve("a", 100, "other")) == 100
    assert guard.proof().violations == []


def test_of_one_sender_a_bounded_number_waits_and_the_others_go_on_waiting_and_working(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(waiting, "MOST_OF_SENDER", 30)
    guard = full(4, 7)
    guard.open(100, "more").reserve("first", 100, "more")
    assert [len(guard.reserve(f"w.{n}", 10, "more")) for n in range(3)] == [0, 0, 1]
    order = m.Reserve(attempt="qa", microusd=100, timeout_s=60)
    assert guard.write(order, "more", "model-qa") == []  # another sender's still waits
    guard.open(100, "other")
    assert granted(guard.reserve("a", 100, "other")) == 100  # what fits at once need not wait
    assert guard.proof().violations == []
    assert MOST_OF_SENDER > MOST_OF_MISSION


def test_those_that_wait_in_one_mission_keep_no_more_of_the_day_than_it_could_ever_hold() -> None:
    guard = GuardWorld().limits(300, 300).open(100).open(100, "other")
    guard.reserve("a", 100)
    for n in range(50):
        assert guard.reserve(f"w.{n}", 90) == []
    assert granted(guard.reserve("b", 100, "other")) == 100
    assert guard.proof().violations == []


def test_none_waits_longer_than_a_day() -> None:
    guard = world(100)
    guard.reserve("a", 100, timeout_s=LONGEST_S)
    assert guard.reserve("b", 50, wait_s=10**9) == []
    assert guard.ledger.waiting[0].until_ns == guard.now_ns + LONGEST_S * SECOND


def test_one_mail_looks_only_at_the_missions_that_it_moved(monkeypatch: pytest.MonkeyPatch) -> None:
    guard = full(5, 60)
    guard.open(100, "other")
    looked: list[str] = []
    look = waiting._Queue.look
    monkeypatch.setattr(waiting._Queue, "look", lambda q, w: looked.append(w.mission) or look(q, w))
    guard.reserve("a", 60, "other")
    guard.sent("a", "other")
    guard.reserve("b", 60, "other")
    guard.settle("a", 30, "other")
    assert set(looked) == {"other"}
    assert len(looked) == 3
    guard.settle("first", 0, "full-3")
    assert set(looked) == {"other", "full-3"}
    assert next(one for one in guard.ledger.waiting if one.mission == "full-3").order.attempt == "w.10"


orders = st.tuples(
    st.sampled_from(["m-1", "m-2", "m-3"]),
    st.sampled_from(["model-engineer", "model-qa"]),
    st.integers(1, 60),
    st.integers(0, 60),
    st.sampled_from([0, 5, 9_000]),
)
events = st.one_of(
    orders.map(lambda order: ("reserve", order)),
    st.tuples(st.sampled_from(["settle", "void", "sent"]), st.integers(0, 30)),
    st.tuples(st.sampled_from(["later", "limits", "raise", "close"]), st.integers(1, 50)),
)


@settings(max_examples=120)
@given(st.integers(60, 400), st.lists(events, max_size=40))
def test_what_is_decided_is_as_if_all_that_wait_were_looked_at_each_time(day: int, sequence: list) -> None:
    quick, slow = (GuardWorld().limits(day, 1_000) for _ in range(2))
    for guard in (quick, slow):
        for name in ("m-1", "m-2", "m-3"):
            guard.open(100, name)
    sent: list[tuple[str, str, str]] = []
    for n, (what, value) in enumerate(sequence):
        quick_says = event(quick, n, what, value, sent)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(waiting, "_moved", lambda before, ledger, mail, all_: {w.mission for w in all_})
            patch.setattr(waiting, "_standing", lambda ledger: None)
            assert event(slow, n, what, value, sent) == quick_says
        assert order_of(quick) == order_of(slow)
        assert quick.ledger.days == slow.ledger.days
        if what == "reserve":
            sent.append((value[0], value[1], f"a.{n}"))
    assert quick.proof().violations == []


def order_of(guard: GuardWorld) -> list[tuple[str, str]]:
    return [(one.mission, one.order.attempt) for one in guard.ledger.waiting]


def event(guard: GuardWorld, n: int, what: str, value: object, sent: list[tuple[str, str, str]]) -> list:
    if what == "reserve":
        mission, by, microusd, floor, wait_s = value
        order = m.Reserve(
            attempt=f"a.{n}", microusd=microusd, timeout_s=20, floor=min(floor, microusd), wait_s=wait_s
        )
        return guard.write(order, mission, by)
    assert isinstance(value, int)
    match what:
        case "later":
            return guard.later(value * 600).tick()
        case "limits":
            return guard.write(m.Limits(day_microusd=value * 9, month_microusd=1_000, mission_microusd=1))
        case "raise":
            return guard.write(m.Raise(digest=str(n), microusd=value, asked=False), "m-1")
        case "close":
            return guard.write(m.Close(state="completed"), "m-3")
    if not sent:
        return []
    mission, by, attempt = sent[value % len(sent)]
    facts = {
        "settle": m.Settle(attempt=attempt, microusd=value),
        "void": m.Void(attempt=attempt, proof="not_sent", nonce="n"),
        "sent": m.Sent(attempt=attempt, nonce="n", microusd=0),
    }
    decision = guard.apply(facts[what], mission, by)
    return guard.log_answers(decision)
