"""Caps on tokens, the margin, and slots: what the guard decides beside the money."""

from __future__ import annotations

import pytest
from guard_world import GuardWorld, granted, refused, world

from actors import messages as m


def tokens_refused(answers: list[object]) -> tuple[str, int, int]:
    (answer,) = answers
    assert isinstance(answer, m.Refused), answer
    return answer.refusal.scope, answer.refusal.needed_tokens, answer.refusal.remaining_tokens


def opened(guard: GuardWorld) -> list[str]:
    return [mission for mission, _, answer in guard.answers if isinstance(answer, m.Opened)]


# -- tokens ---------------------------------------------------------------------------------------------


def capped(cap: int = 100, **limits: int) -> GuardWorld:
    return GuardWorld().limits(**limits).open(1_000, role_tokens={"model-engineer": cap})


def test_the_tokens_of_a_role_are_held_and_booked_beside_the_money() -> None:
    guard = capped()
    assert granted(guard.reserve("a", 10, tokens=60)) == 10
    assert guard.reserve("b", 10, tokens=60) == []  # it fits beside what is taken, not beside what is held
    (served,) = guard.settle("a", 3, tokens=20)
    assert (served.attempt, served.microusd) == ("b", 10)
    assert guard.mission().tokens["model-engineer"] == type(guard.mission().account)(posted=20, pending=60)
    guard.settle("b", 3, tokens=70)
    assert tokens_refused(guard.reserve("c", 10, tokens=11)) == ("role_tokens", 11, 10)
    assert guard.proof().violations == []


def test_a_cap_on_one_role_leaves_the_others_alone() -> None:
    guard = capped(cap=0)

    assert tokens_refused(guard.reserve("a", 10, tokens=1)) == ("role_tokens", 1, 0)
    order = m.Reserve(attempt="b", microusd=10, timeout_s=9, tokens=10**9)
    assert granted(guard.write(order, "m-1", "model-qa")) == 10


@pytest.mark.parametrize("tokens", [0, 101])
def test_a_call_above_its_cap_or_that_says_no_tokens_is_refused_where_tokens_are_counted(tokens: int) -> None:
    by_company = GuardWorld().limits(call_tokens=100).open(1_000)
    by_mission = GuardWorld().limits(call_tokens=10**6).open(1_000, call_tokens=100)

    for guard in (by_company, by_mission):
        assert tokens_refused(guard.reserve("a", 10, tokens=tokens)) == ("call_tokens", tokens, 100)
        assert granted(guard.reserve("b", 10, tokens=100)) == 10


def test_a_call_in_doubt_counts_all_its_tokens_until_it_is_corrected_and_a_voided_one_none() -> None:
    guard = capped()
    guard.reserve("a", 10, tokens=90)
    guard.sent("a")
    guard.later(11).tick()
    assert tokens_refused(guard.reserve("b", 10, tokens=11)) == ("role_tokens", 11, 10)
    guard.settle("a", 3, tokens=40)
    assert granted(guard.reserve("c", 10, tokens=60)) == 10
    guard.write(m.Void(attempt="c", proof="not_sent"))
    assert granted(guard.reserve("d", 10, tokens=60)) == 10
    assert guard.proof().violations == []


def test_a_raise_of_tokens_lets_those_that_wait_go_on() -> None:
    guard = capped()
    guard.reserve("a", 10, tokens=100)
    assert guard.reserve("b", 10, tokens=50) == []
    answers = guard.write(m.Raise(digest="r", microusd=0, asked=False, tokens={"engineer": 50, "qa": 7}))
    assert [type(answer) for answer in answers] == [m.Raised, m.Granted]
    assert guard.mission().terms == m.Open(cap_microusd=1_000, role_tokens={"model-engineer": 150})
    assert guard.proof().violations == []


@pytest.mark.parametrize("more", [2**53 - 1])
def test_a_raise_by_what_is_no_number_of_tokens_is_not_applied(more: int) -> None:
    guard = capped()
    (answer,) = guard.write(m.Raise(digest="r", microusd=5, asked=False, tokens={"engineer": more}))
    assert (answer.applied, answer.cap_microusd) == (False, 1_000)


# -- the margin -----------------------------------------------------------------------------------------


def test_the_margin_of_a_cap_and_of_a_limit_is_not_granted_and_an_overrun_may_use_it() -> None:
    guard = GuardWorld().limits(10**6, 10**6).open(101, margin_percent=10)
    assert refused(guard.reserve("a", 91)) == ("mission", 91, 90)  # 10.1 rounded up is kept
    assert granted(guard.reserve("b", 90)) == 90
    guard.settle("b", 100)
    assert guard.mission().account.posted == 100
    company = GuardWorld().limits(100, 1_000, margin_percent=25).open(10**6)
    assert refused(company.reserve("a", 76)) == ("day", 76, 75)
    for proven in (guard, company):
        assert proven.proof().violations == []


# -- slots ----------------------------------------------------------------------------------------------


def test_missions_beyond_the_slots_wait_by_priority_then_age() -> None:
    guard = GuardWorld().limits(slots=2)
    for name, priority in (("a", 0), ("b", 0), ("c", 0), ("d", 5), ("e", 5)):
        guard.open(100, name, priority=priority)
    assert opened(guard) == ["a", "b"]
    waits = [mission for mission, _, answer in guard.answers if answer == m.Queued(slots=2)]
    assert waits == ["c", "d", "e"]
    assert refused(guard.reserve("x", 1, "c"))[0] == "mission_not_open"
    for name in ("b", "a", "d"):
        guard.write(m.Close(state="completed"), name)
    assert opened(guard)[2:] == ["d", "e", "c"]
    assert guard.proof().violations == []


def test_a_mission_that_ends_while_it_waits_leaves_the_queue() -> None:
    guard = GuardWorld().limits(slots=1).open(100, "a").open(100, "b").open(100, "c")
    guard.write(m.Close(state="cancelled"), "b")
    guard.write(m.Close(state="completed"), "a")
    assert opened(guard) == ["a", "c"]


def test_a_parked_mission_gives_its_slot_settles_what_it_holds_and_asks_again() -> None:
    guard = GuardWorld().limits(slots=1).open(100, "a").open(100, "b")
    guard.reserve("x", 50, "a")
    assert guard.write(m.Park(), "a") == [m.Opened()]
    assert opened(guard) == ["a", "b"]
    assert refused(guard.reserve("y", 1, "a"))[0] == "mission_not_open"
    guard.settle("x", 20, "a")
    guard.open(100, "a")
    assert opened(guard) == ["a", "b"]
    guard.write(m.Close(state="completed"), "b")
    assert opened(guard) == ["a", "b", "a"]
    assert (guard.mission("a").cap, guard.mission("a").account.posted) == (100, 20)


def test_more_slots_are_used_at_once_and_fewer_take_none_away() -> None:
    guard = GuardWorld().limits(slots=1).open(100, "a").open(100, "b").open(100, "c")
    guard.limits(slots=3)
    assert opened(guard) == ["a", "b", "c"]
    guard.limits(slots=1).open(100, "d")
    assert granted(guard.reserve("x", 1, "c")) == 1
    assert "d" in guard.ledger.queue
    guard.write(m.Close(state="completed"), "a")
    assert "d" in guard.ledger.queue  # two are still worked on


def test_without_limits_as_many_are_opened_as_are_asked_for_and_none_gets_money() -> None:
    guard = GuardWorld().open(100, "a").open(100, "b")
    assert opened(guard) == ["a", "b"]
    assert refused(guard.reserve("x", 1, "b"))[0] == "no_limits"


def test_asking_again_with_a_slot_is_answered_and_a_raised_cap_stays() -> None:
    guard = world(100)
    guard.write(m.Raise(digest="r", microusd=50, asked=False))
    guard.open(100)
    assert opened(guard) == ["m-1", "m-1"]
    assert guard.mission().cap == 150
