"""Whatever comes, a mission that is over sends nothing, and no other mission sends messages without end."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import cycle, islice
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from role_samples import MISSION, TASK, mail_to, outcome, reply

from actors import messages as m
from actors.process.wiring import role
from actors.roles import engineer
from actors.roles import worker as orders
from actors.roles.qa import role as qa
from actors.roles.worker import Orders
from actors.table import HALTS, TABLE
from bus.envelope import Letter, Mail, Stored, base_headers, encode
from bus.fold import Fold

WORKERS = ("engineer", "qa")
MISSION_ROLES = ("coo", "approval", *WORKERS)
SPEAKERS = ("ceo",)


def at(mail: Mail, seq: int) -> Mail:
    """Return the same mail at another place of the log."""
    return msgspec.structs.replace(mail, seq=seq, at=seq, now_ns=seq * 10**9, id=f"{mail.id}-{seq}")


def played(name: str, state: Any, messages: Sequence[Mail], first: int = 1) -> tuple[Any, list[list[Letter]]]:
    """Hand messages to a role; what it raises on changes nothing."""
    letters = []
    for seq, mail in enumerate(messages, start=first):
        try:
            step = role(name).handle(state, at(mail, seq))
        except ValueError:
            letters.append([])
            continue
        state = step.state
        letters.append(list(step.letters))
    return state, letters


def mails_to(name: str) -> st.SearchStrategy[list[Mail]]:
    return st.lists(st.sampled_from(mail_to(name)), max_size=25)


def ends(name: str) -> list[Mail]:
    """Return the mail by which a mission is over for a role."""
    if name == "coo":
        return [mail for mail in mail_to(name) if mail.message == m.Control(action="cancel")]
    return [
        mail
        for mail in mail_to(name)
        if isinstance(mail.message, m.Close) or getattr(mail.message, "final", False)
    ]


@pytest.mark.parametrize("name", MISSION_ROLES)
@given(data=st.data())
@settings(max_examples=150)
def test_after_the_end_a_role_only_declines_what_the_ceo_says(name: str, data: st.DataObject) -> None:
    before = data.draw(mails_to(name))
    if name == "coo":
        before = [mail for mail in mail_to(name) if mail.message == MISSION] + before
    state, _ = played(name, role(name).state(), [*before, data.draw(st.sampled_from(ends(name)))])
    assert role(name).is_over(state)

    after = data.draw(mails_to(name))
    state, letters = played(name, state, after, first=100)

    assert role(name).is_over(state)
    for mail, sent in zip(after, letters, strict=True):
        declined = [m.Declined] if mail.sender in SPEAKERS else []
        assert [type(letter.message) for letter in sent] in ([], declined)


@pytest.mark.parametrize("name", MISSION_ROLES)
def test_after_the_end_nobody_is_told_of_mail_that_cannot_be_decided(name: str) -> None:
    fold: Fold[Any] = Fold(TABLE, role(name))
    bad = Stored(1, 1, f"coo.m.m-1.{name}.nonsense.ceo", base_headers("bad-1", "ceo", "nonsense", 1), b"{}")
    assert [letter.subject for letter in fold.apply(bad).letters] == [f"coo.m.m-1.coo.error.{name}"]
    kinds = [("mission", MISSION), ("control", m.Control(action="cancel"))]
    if name != "coo":
        kinds = [("close", m.Close(state="cancelled"))]
    for seq, (kind, message) in enumerate(kinds, start=2):
        sender = "ceo" if name == "coo" else "coo"
        headers = base_headers(f"{kind}-1", sender, kind, seq)
        fold.apply(Stored(seq, seq, f"coo.m.m-1.{name}.{kind}.{sender}", headers, encode(message)))
    again = msgspec.structs.replace(bad, seq=9, headers={**bad.headers, "ce-id": "bad-2"})
    decision = fold.apply(again)
    assert decision.letters == ()
    assert decision.dead is not None


# -- without end ------------------------------------------------------------------------------------------


def foreign(name: str) -> list[Mail]:
    """Return the mail of a role that does not come from the CEO, nor from the COO at the CEO's word."""
    words = (m.GoOn, m.Close)
    return [
        mail for mail in mail_to(name) if mail.sender not in SPEAKERS and not isinstance(mail.message, words)
    ]


@pytest.mark.parametrize("name", WORKERS)
@given(data=st.data())
@settings(max_examples=60)
def test_a_worker_stops_at_so_many_messages_whatever_they_are(name: str, data: st.DataObject) -> None:
    most = 60
    again = data.draw(st.lists(st.sampled_from(foreign(name)), min_size=1, max_size=6))
    before = orders.MAX_MESSAGES
    try:
        for module in (orders, engineer, qa):
            module.MAX_MESSAGES = most
        flood = list(islice(cycle(again), 3 * most))
        state, letters = played(name, role(name).state(), flood)
        for mail, sent in list(zip(flood, letters, strict=True))[most:]:
            assert not sent or isinstance(mail.message, m.Task)
            assert [letter.to for letter in sent] in ([], ["coo"])
        state, letters = played(name, state, [one for one in mail_to(name) if one.message == m.GoOn()], 999)
        if not state.orders.over:
            assert not state.orders.exhausted
            assert not state.orders.parked
    finally:
        for module in (orders, engineer, qa):
            module.MAX_MESSAGES = before


@given(data=st.data())
@settings(max_examples=100)
def test_the_coo_ends_a_mission_whose_messages_do_not(data: st.DataObject) -> None:
    most = 20
    terms = msgspec.structs.replace(MISSION.terms, max_messages=most)
    start = Mail(
        seq=1,
        now_ns=1,
        mission="m-1",
        to="coo",
        kind="mission",
        sender="ceo",
        id="mission",
        message=msgspec.structs.replace(MISSION, terms=terms),
    )
    again = data.draw(st.lists(st.sampled_from(foreign("coo")), min_size=1, max_size=6))
    desk, _ = played("coo", role("coo").state(), [start])
    for seq, mail in enumerate(islice(cycle(again), 10 * most), start=2):
        before = desk
        desk, (sent,) = played("coo", desk, [mail], seq)
        assert desk.mails <= 2 * most
        assert not (before.final and sent)
    raises = len(again) == sum(isinstance(mail.message, m.Result) for mail in again)
    assert desk.final or raises  # a result that its sender cannot say is a dead letter, counted as an error


def test_a_worker_that_has_had_too_many_messages_says_so_and_goes_on_when_told() -> None:
    state, letters = played("engineer", role("engineer").state(), mails_of("engineer", TASK))
    stray = mails_of("engineer", outcome("other"))
    state, letters = played("engineer", state, stray * orders.MAX_MESSAGES, 2)
    said = [letter.message for sent in letters for letter in sent]
    assert [(type(one), one.status) for one in said] == [(m.Result, "stuck")]
    assert "does not come to an end" in said[0].reason
    state, (sent,) = played("engineer", state, mails_of("engineer", m.GoOn()), 9_000)
    assert [letter.to for letter in sent] == ["model-engineer"]


def mails_of(name: str, message: msgspec.Struct) -> list[Mail]:
    """Return a mail like those that a role gets of this type, with another message."""
    like = next(mail for mail in mail_to(name) if type(mail.message) is type(message))
    return [msgspec.structs.replace(like, message=message)]


def test_the_gate_remembers_no_more_requests_than_it_may() -> None:
    from actors.roles import approval

    asked = [m.Request(what="release", digest=f"r-{n}", why="w", timeout_s=1) for n in range(300)]
    gate, letters = played("approval", approval.Gate(), [mails_of("approval", one)[0] for one in asked])
    assert len(gate.requests) == approval.MAX_REQUESTS
    assert [type(sent[0].message) for sent in letters[100:]] == [m.Rejected] * 200


# -- drops --------------------------------------------------------------------------------------------------


def dropped(status_seq: int, final: bool = False) -> Mail:
    answer = msgspec.structs.replace(reply("code", "dropped"), status_seq=status_seq, final=final)
    return mails_of("engineer", answer)[0]


@given(
    words=st.lists(st.sampled_from(["pause", "go_on", "drop"]), max_size=12),
    stale=st.lists(st.integers(0, 12), max_size=12),
)
def test_an_order_is_sent_again_once_for_each_time_that_a_mission_goes_on_or_was_dropped_before(
    words: list[str], stale: list[int]
) -> None:
    """A drop for a pause after the newest `go_on` waits for the next one: nothing goes round."""
    call = m.Call(turn="code", model="scripted", max_output_tokens=1)
    state, _ = Orders(model="model-engineer").send(call)
    paused_at, sent_again, allowed = 0, 0, 0
    for seq, word in enumerate(words, start=1):
        match word:
            case "pause":
                paused_at = seq
            case "go_on":
                state, letters = state.go_on(seq)
                sent_again += len(letters)
                allowed += 1
            case "drop":
                named = stale[seq % len(stale)] if stale else paused_at
                state, letters = state.dropped("code", dropped(min(named, paused_at)))
                assert len(letters) <= (min(named, paused_at) <= state.went_on)
                allowed += len(letters)
                sent_again += len(letters)
    assert sent_again <= allowed


def test_a_drop_that_names_a_final_status_is_never_sent_again() -> None:
    state, (first,) = played("engineer", role("engineer").state(), mails_of("engineer", TASK))
    assert [letter.to for letter in first] == ["model-engineer"]
    rest = [dropped(7, final=True), *mails_of("engineer", m.GoOn()), *mails_of("engineer", TASK)]
    _, letters = played("engineer", state, rest, 2)
    assert letters == [[], [], []]


def test_performers_learn_which_states_are_final() -> None:
    for state in m.FINAL | m.PAUSED:
        status = m.Status(state=state, at=1)
        assert HALTS.halted(status)
        assert HALTS.final(status) == (state in m.FINAL)
    assert not HALTS.final(m.Status(state="executing", at=1))
