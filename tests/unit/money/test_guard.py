"""What the guard promises, one promise a test: the complaints about other people's budgets among them."""

from __future__ import annotations

import msgspec
import pytest
from guard_world import MODEL, SECOND, START, GuardWorld, granted, refused, world

from actors import messages as m
from actors.roles.budget.ledger import Account
from actors.roles.budget.role import MAX_ASKED_RAISES, TICK_S


def test_a_hold_is_on_mission_day_and_month_or_on_none_of_them() -> None:
    guard = world(100, day=50)
    assert refused(guard.reserve("a.1", 60)) == ("day", 60, 50)
    assert guard.mission().account == Account()
    assert guard.ledger.days == guard.ledger.months == {}
    assert granted(guard.reserve("a.2", 50)) == 50
    assert set(guard.balances()) == {Account(pending=50)}


@pytest.mark.parametrize(
    ("cap", "day", "month", "scope"), [(0, 9, 9, "mission"), (9, 0, 9, "day"), (9, 9, 0, "month")]
)
def test_a_limit_of_zero_is_zero_and_not_unlimited(cap: int, day: int, month: int, scope: str) -> None:
    assert refused(world(cap, day, month).reserve("a.1", 1)) == (scope, 1, 0)


def test_without_limits_nothing_is_granted() -> None:
    assert refused(GuardWorld().open(9).reserve("a.1", 1))[0] == "no_limits"


@pytest.mark.parametrize("amount", [0, 10**15 + 1, 2**53 - 1])
def test_what_is_no_amount_is_refused(amount: int) -> None:
    assert refused(world(10**15).reserve("a.1", amount))[0] == "amount"


def test_a_hold_that_fits_beside_what_is_posted_waits_for_what_is_pending() -> None:
    guard = world(100)
    assert granted(guard.reserve("a.1", 90)) == 90
    assert guard.reserve("b.1", 90) == []
    assert granted(guard.settle("a.1", 10)) == 90
    assert guard.mission().account == Account(posted=10, pending=90)


def test_a_hold_that_cannot_fit_any_more_is_refused_with_the_numbers() -> None:
    guard = world(100)
    guard.reserve("a.1", 90)
    guard.reserve("b.1", 90)
    assert refused(guard.settle("a.1", 90)) == ("mission", 90, 10)


def test_holds_that_wait_are_served_in_order() -> None:
    guard = world(100)
    guard.reserve("a.1", 100)
    assert guard.reserve("b.1", 60) == guard.reserve("c.1", 60) == guard.reserve("d.1", 30) == []
    assert [answer.attempt for answer in guard.settle("a.1", 0)] == ["b.1"]
    assert [answer.attempt for answer in guard.settle("b.1", 0)] == ["c.1", "d.1"]


def test_a_hold_passes_an_earlier_one_of_another_mission_where_there_is_room_for_both() -> None:
    guard = world(100, day=300).open(100, "m-2").open(100, "m-3")
    guard.reserve("a.1", 100)
    assert guard.reserve("b.1", 100) == []
    assert granted(guard.reserve("c.1", 100, "m-2")) == 100
    assert guard.reserve("d.1", 50, "m-3") == []  # b.1 came first, and the day has no room for both
    assert [answer.attempt for answer in guard.settle("a.1", 0)] == ["b.1", "d.1"]


def test_one_that_waits_is_refused_at_its_deadline_with_what_is_free() -> None:
    guard = world(100)
    guard.reserve("a.1", 90, timeout_s=100)
    guard.reserve("b.1", 50, wait_s=5)
    assert guard.later(4).tick() == []
    assert refused(guard.later(1).tick()) == ("mission", 50, 10)


def test_one_that_waits_leaves_the_queue_by_void_and_by_close() -> None:
    guard = world(100)
    guard.reserve("a.1", 90)
    guard.reserve("b.1", 50)
    guard.reserve("c.1", 60)
    assert guard.write(m.Void(attempt="b.1", proof="not_sent")) == []
    assert refused(guard.write(m.Close(state="cancelled")))[0] == "mission_not_open"
    assert guard.ledger.waiting == ()


def test_a_grant_may_be_smaller_than_asked_down_to_the_floor() -> None:
    guard = world(100)
    assert granted(guard.reserve("a.1", 70, floor=10)) == 70
    assert granted(guard.reserve("b.1", 70, floor=30)) == 30
    assert guard.reserve("c.1", 70, floor=1) == []


def test_the_same_order_again_gets_the_same_answer_and_another_under_its_id_is_refused() -> None:
    guard = world(100)
    first = guard.reserve("a.1", 40)
    assert guard.reserve("a.1", 40) == first
    assert refused(guard.reserve("a.1", 41))[0] == "id_conflict"
    guard.settle("a.1", 7)
    assert guard.reserve("a.1", 40) == first
    second = guard.reserve("b.1", 99)
    assert refused(second) == ("mission", 99, 93)
    assert guard.reserve("b.1", 99) == second
    assert guard.mission().account == Account(posted=7)


def test_a_command_delivered_twice_changes_nothing_the_second_time() -> None:
    guard = world(100)
    for _ in range(2):
        guard.write(m.Reserve(attempt="a.1", microusd=40, timeout_s=9), id="r")
    for _ in range(2):
        guard.write(m.Settle(attempt="a.1", microusd=30), id="s")
    guard.settle("a.1", 31)
    assert guard.mission().account == Account(posted=30)


def test_a_hold_nobody_sent_is_given_back_at_its_time_out_and_a_sent_one_is_booked_in_doubt() -> None:
    guard = world(100)
    guard.reserve("a.1", 40)
    guard.reserve("b.1", 30)
    guard.sent("b.1")
    guard.later(10).tick()
    assert (guard.hold("a.1").status, guard.hold("b.1").status) == ("released", "in_doubt")
    assert guard.mission().account == Account(posted=30)
    assert guard.mission().in_doubt == 30


def test_a_late_settlement_corrects_once() -> None:
    guard = world(100)
    guard.reserve("a.1", 40)
    guard.sent("a.1")
    guard.later(10).settle("a.1", 25)
    guard.settle("a.1", 26)
    assert guard.mission().account == Account(posted=25)
    assert guard.mission().in_doubt == 0


def test_a_bill_above_its_hold_is_booked_in_full_freezes_the_mission_and_is_told() -> None:
    guard = world(100)
    guard.reserve("a.1", 40)
    told = guard.settle("a.1", 140)
    assert told == [m.Frozen(reason="overrun", attempt="a.1", held_microusd=40, cost_microusd=140)]
    assert guard.mission().account == Account(posted=140)
    assert refused(guard.reserve("b.1", 1))[0] == "overrun"
    guard.write(m.Raise(digest="d", microusd=100, asked=False))
    assert granted(guard.reserve("b.2", 60)) == 60


def test_a_bill_nobody_reserved_is_booked_and_freezes() -> None:
    guard = world(100)
    told = guard.settle("x.1", 9)
    assert told == [m.Frozen(reason="unheld_settlement", attempt="x.1", held_microusd=0, cost_microusd=9)]
    assert guard.mission().account == Account(posted=9)


def test_a_bill_for_one_that_waits_is_booked_once_and_it_waits_no_more() -> None:
    guard = world(100)
    guard.reserve("a.1", 90)
    guard.reserve("b.1", 90)
    guard.settle("b.1", 5)
    guard.settle("a.1", 0)
    assert guard.mission().account == Account(posted=5)
    assert guard.ledger.waiting == ()


def test_a_bill_by_somebody_who_did_not_reserve_touches_no_hold() -> None:
    guard = world(100)
    guard.reserve("a.1", 40)
    assert guard.settle("a.1", 1, sender="model-qa")[0].reason == "settled_by_another"
    assert guard.hold("a.1").status == "held"
    assert guard.mission().account == Account(pending=40)


@pytest.mark.parametrize("cost", [10**15 + 1, 2**53 - 1])
def test_a_cost_that_is_no_amount_is_a_dead_letter_and_the_worst_case_is_booked(cost: int) -> None:
    guard = world(100)
    guard.reserve("a.1", 40)
    guard.sent("a.1")
    dead = guard.apply(m.Settle(attempt="a.1", microusd=cost)).dead
    assert dead is not None
    assert "is no amount" in dead.detail or dead.reason == "undecodable"
    guard.later(10).tick()
    assert guard.mission().account == Account(posted=40)


@pytest.mark.parametrize("cost", [b"NaN", b"1.5", b"1e3", b'"5"', b"null", b"1.0"])
def test_a_cost_that_is_no_integer_cannot_even_be_read(cost: bytes) -> None:
    with pytest.raises(msgspec.DecodeError):
        msgspec.json.decode(b'{"attempt":"a.1","microusd":' + cost + b"}", type=m.Settle)


def test_what_was_sent_is_voided_only_by_the_process_that_sent_it() -> None:
    guard = world(100)
    guard.reserve("a.1", 40)
    guard.sent("a.1", nonce="mine")
    for nonce in ("", "other"):
        guard.write(m.Void(attempt="a.1", proof="not_sent", nonce=nonce))
        assert guard.hold("a.1").status == "sent"
    guard.write(m.Void(attempt="a.1", proof="refused_by_provider", nonce="mine"))
    assert guard.mission().account == Account()


def test_the_first_sent_counts() -> None:
    guard = world(100)
    guard.reserve("a.1", 40)
    guard.sent("a.1", nonce="first")
    guard.sent("a.1", nonce="second")
    assert guard.hold("a.1").nonce == "first"


def test_a_clock_that_goes_back_neither_lengthens_a_hold_nor_opens_a_new_day() -> None:
    guard = world(100)
    guard.reserve("a.1", 40)
    guard.later(20).tick()
    assert guard.hold("a.1").status == "released"
    guard.later(-86_400)
    guard.sent("a.1")
    assert guard.hold("a.1").status == "released"
    guard.reserve("b.1", 40)
    assert guard.hold("b.1").expires_ns == START + 30 * SECOND


def test_a_call_over_midnight_counts_once_in_the_day_of_its_grant_and_the_new_day_has_its_own_money() -> None:
    guard = world(1_000, day=100)
    to_midnight = 86_400 - (START // SECOND) % 86_400
    guard.later(to_midnight - 5)
    guard.reserve("a.1", 100)
    guard.sent("a.1")
    first = guard.hold("a.1").day
    guard.later(6)
    assert granted(guard.reserve("b.1", 100)) == 100
    guard.settle("a.1", 80)
    assert guard.ledger.days[first] == Account(posted=80)
    assert guard.ledger.days[guard.hold("b.1").day] == Account(pending=100)
    assert guard.hold("b.1").day != first


def test_one_that_waits_for_the_day_is_granted_when_the_next_one_begins() -> None:
    guard = world(1_000, day=100)
    guard.later(86_400 - (START // SECOND) % 86_400 - 5)
    guard.reserve("a.1", 100, timeout_s=60)
    assert guard.reserve("b.1", 100) == []
    assert granted(guard.later(6).tick()) == 100


def test_a_cap_is_raised_once_a_digest_and_three_times_for_the_company() -> None:
    guard = world(10)
    for n in range(MAX_ASKED_RAISES + 1):
        for _ in range(2):
            guard.write(m.Raise(digest=f"d{n}", microusd=10, asked=True))
    assert guard.mission().cap == 10 + 10 * MAX_ASKED_RAISES
    (told,) = guard.write(m.Raise(digest="mine", microusd=5, asked=False))
    assert told == m.Raised(digest="mine", cap_microusd=45, applied=True)


def test_one_that_waits_is_granted_when_the_cap_is_raised() -> None:
    guard = world(100)
    guard.reserve("a.1", 90)
    guard.reserve("b.1", 90)
    raised, answer = guard.write(m.Raise(digest="d", microusd=80, asked=False))
    assert (raised.cap_microusd, answer.microusd) == (180, 90)


def test_limits_that_are_lowered_take_nothing_back_and_grant_nothing_more() -> None:
    guard = world(1_000, day=100)
    guard.reserve("a.1", 90)
    guard.limits(day=50)
    assert guard.hold("a.1").status == "held"
    assert refused(guard.reserve("b.1", 60)) == ("day", 60, 50)


def test_a_closed_mission_is_forgotten_and_nothing_of_it_is_booked_again() -> None:
    guard = world(100)
    guard.reserve("a.1", 40)
    guard.write(m.Close(state="completed"))
    guard.settle("a.1", 30)
    assert guard.ledger.missions == {}
    assert refused(guard.reserve("b.1", 1))[0] == "mission_not_open"
    dead = guard.apply(m.Settle(attempt="a.1", microusd=30)).dead
    assert dead is not None
    assert "is closed" in dead.detail
    assert [day.posted for day in guard.ledger.days.values()] == [30]


def test_while_anything_is_held_a_tick_comes_within_a_minute() -> None:
    guard = world(100)
    decision = guard.apply(m.Reserve(attempt="a.1", microusd=40, timeout_s=86_400))
    (wake,) = [letter for letter in decision.letters if ".wake." in letter.subject]
    assert msgspec.json.decode(wake.body, type=m.Wake).at_ns == START + TICK_S * SECOND


def test_many_callers_never_pass_the_cap_and_none_is_locked_out() -> None:
    for charge, served in ((90_000, 11), (22_500, 41)):
        guard = world(1_000_000)
        for n in range(64):
            guard.reserve(f"c{n}.1", 90_000)
        done: set[str] = set()
        while todo := [a for a in guard.mission().open if a not in done]:
            done.add(todo[0])
            guard.sent(todo[0])
            guard.settle(todo[0], charge)
        proof = guard.proof()
        assert len(done) == served
        assert proof.violations == []
        assert proof.books.accounts["mission:m-1"].peak <= 1_000_000
        print(f"charge {charge}: {served} served, {guard.mission().account.posted} of 1000000 used")


def test_a_forged_sender_is_no_holder() -> None:
    guard = world(100)
    guard.write(m.Reserve(attempt="a.1", microusd=40, timeout_s=9), sender=MODEL)
    guard.write(m.Void(attempt="a.1", proof="not_sent"), sender="model-qa")
    assert guard.hold("a.1").status == "held"


def test_an_audit_proves_as_far_as_the_guard_has_answered() -> None:
    guard = world(100)
    guard.reserve("a.1", 40)
    guard.apply(m.Reserve(attempt="b.1", microusd=40, timeout_s=10))
    proof = guard.proof()
    assert (proof.violations, proof.messages, proof.under_way) == ([], 3, 1)


def test_an_audit_finds_a_forged_grant_and_a_missing_answer() -> None:
    guard = world(100)
    guard.reserve("a.1", 40)
    (seq, (forged,)) = next((s, x) for s, x in guard.decided.items() if ".granted." in x[0].subject)
    body = forged.body.replace(b"40", b"400")
    guard.decided[seq] = [msgspec.structs.replace(forged, body=body)]
    proof = guard.proof()
    assert proof.violations == [f"message {forged.seq}: the guard's rules do not say this granted (I18)"]
    assert proof.books.accounts["mission:m-1"].peak <= 100
    guard.reserve("b.1", 10)
    guard.decided[seq] = []
    assert any("is not in the log (I18)" in violation for violation in guard.proof().violations)


@pytest.mark.parametrize(
    ("tampered", "why"),
    [
        (Account(pending=10), "pending after"),
        (Account(pending=50), "holds of"),
        (Account(posted=-9, pending=40), "posted after"),
    ],
)
def test_books_that_do_not_add_up_book_nothing_and_say_so(tampered: Account, why: str) -> None:
    guard = world(100)
    guard.reserve("a.1", 40)
    guard.fold.state = guard.ledger.mission("m-1", msgspec.structs.replace(guard.mission(), account=tampered))
    before = guard.fold.state
    dead = guard.apply(m.Settle(attempt="a.1", microusd=3)).dead
    assert dead is not None
    assert (dead.reason, why in dead.detail) == ("raised", True)
    assert guard.fold.state == before
