"""The timeline of recorded mail, as text."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from actors import messages as m
from actors.cli.follow import event, exit_of, next_step, result
from actors.cli.sheet import sheet
from actors.projections.record import Record
from actors.projections.timeline import Timeline, closing
from actors.table import TABLE
from bus.envelope import Cause, Stored, seal
from bus.table import Error, Ref

SECOND = 1_000_000_000
START = 1_790_000_000 * SECOND
NAME = "m-7f3kq2r9awzz"
TERMS = m.Terms(models={"coo": "scripted", "engineer": "scripted", "qa": "scripted"})
MISSION = m.Mission(goal="Build a CSV to JSON converter", budget_microusd=2_000_000, terms=TERMS)
PLAN = m.PlannedTask(title="Converter", brief="Convert.", acceptance=("pytest", "-q"))
FILES = {"converter.py": Ref(owner="model-engineer", digest="ab" * 32, size=84)}
FINDING = m.Finding(problem="quoted newlines lose a row\n\x1b]0;owned\x07\x1b[31mred", file="converter.py")


def usage(microusd: int) -> m.Usage:
    return m.Usage(model="scripted", provider="scripted", prompt="p", prompt_sha256="0", microusd=microusd)


Event = tuple[float, str, str, msgspec.Struct]


def reply(turn: str, microusd: int = 0, status: str = "answered", **more: Any) -> m.Reply:
    used = usage(microusd) if microusd else None
    return m.Reply(turn=turn, number=0, rework=0, status=status, usage=used, **more)


def ran(run: str, **more: Any) -> m.Outcome:
    return m.Outcome(**{"run": run, "number": 0, "rework": 0, "status": "failed", **more})


def judged(status: Any, **more: Any) -> m.Result:
    return m.Result(**{"number": 0, "rework": 0, "status": status, **more})


def settle(attempt: str, microusd: int) -> m.Settle:
    return m.Settle(attempt=attempt, microusd=microusd)


RUN = m.Execute(run="acceptance", number=0, rework=0, argv=("pytest", "-q"))
ASKED = "9f" * 32
WAITS = m.Status(
    state="paused_approval",
    at=18,
    reason="waiting for the CEO to release it",
    asks=ASKED,
    deliverable=FILES,
)
CALM: list[Event] = [
    (0, "ceo", "coo", MISSION),
    (0, "coo", "ceo", m.Status(state="created", at=1)),
    (0, "coo", "budget", m.Open(cap_microusd=2_000_000)),
    (3, "model-coo", "budget", settle("a.1", 8_000)),
    (3, "model-engineer", "budget", settle("b.1", 31_000)),
    (3, "model-qa", "budget", settle("c.1", 55_000)),
    (4, "model-coo", "coo", reply("plan", 8_000, plan=(PLAN,))),
    (4, "coo", "ceo", m.Status(state="executing", at=7)),
    (5, "coo", "engineer", m.Task(number=0, plan=PLAN, goal="g", terms=TERMS)),
    (19, "model-engineer", "engineer", reply("code", 31_000, files=FILES)),
    (20, "engineer", "sandbox", RUN),
    (24, "sandbox", "engineer", ran("acceptance", exit_code=1, wall_ms=1_200)),
    (25, "sandbox", "qa", ran("control", exit_code=2, wall_ms=100)),
    (26, "sandbox", "qa", ran("checks", status="timed_out", reason="60 s are over")),
    (31, "qa", "coo", judged("rejected", findings=(FINDING,))),
    (32, "coo", "engineer", m.Task(number=0, plan=PLAN, goal="g", terms=TERMS, rework=1)),
    (40, "model-qa", "qa", reply("judge", 55_000, verdict=m.Verdict(verdict="approved"))),
    (41, "qa", "coo", judged("approved")),
    (42, "coo", "ceo", WAITS),
    (42, "coo", "approval", m.Request(what="release", digest=ASKED, why="1 files", timeout_s=60)),
    (60, "ceo", "approval", m.Decision(digest=ASKED, verdict="approve", note="nice")),
    (60, "approval", "coo", m.Approved(digest=ASKED)),
    (70, "coo", "ceo", m.Status(state="completed", at=22, deliverable=FILES)),
]

EXAM = m.Exam(cases=(m.Case(name="one", argv=("x",)), m.Case(name="two", argv=("x",))), marker=("y",))


def test_an_exam_is_told_by_its_cases_and_its_marks() -> None:
    begin = [CALM[0], CALM[6]]
    events: list[Event] = [
        *begin,
        (8, "model-qa", "qa", reply("exam", 2_000, exam=EXAM)),
        (9, "sandbox", "qa", ran("case-one", exit_code=1)),
        (9, "sandbox", "qa", ran("case-two", status="timeout", reason="it took 3 s")),
        (9, "sandbox", "qa", ran("before-one", exit_code=2)),
        (10, "sandbox", "qa", ran("marks-empty", status="ok", exit_code=0, stdout="FAIL one\nFAIL two\n")),
        (10, "sandbox", "qa", ran("marks", status="ok", exit_code=0, stdout="PASS one\nFAIL two: no\n")),
        (10, "sandbox", "qa", ran("marks", exit_code=1, stderr="Traceback: no")),
        (11, "qa", "coo", judged("blocked", reason="greets whom?")),
    ]
    timeline, said = Timeline(), []
    record = Record(NAME)
    for stored in logged(events):
        mail = record.add(stored)
        assert mail is not None
        said += [str(line) for line in timeline.tell(mail)]
    assert said[-5:] == [
        "00:08 qa        exam       task 1/1: 2 cases: one, two                                $0.002",
        "00:09 sandbox   run        ✘ timeout: it took 3 s",
        "00:10 sandbox   marks      ✘ 1 of 2 cases passed",
        "00:10 sandbox   marks      ✘ no marks: failed Traceback: no",
        "00:11 qa        blocked    ✘ task 1/1: greets whom?",
    ]


LINES = """\
00:00 ceo       mission    "Build a CSV to JSON converter" for at most $2.00
00:04 coo       note       scripted model: canned answers, invented prices
00:04 coo       plan       1 task: Converter                                          $0.008
00:05 coo       task       task 1/1: Converter
00:19 engineer  code       task 1/1: 1 file, 84 lines: converter.py                   $0.031
00:24 sandbox   run        ✘ exit 1 in 1.2s: pytest -q
00:25 sandbox   run        ✔ exit 2 in 0.1s (on an empty workspace): control
00:26 sandbox   run        ✘ timed_out: 60 s are over
00:31 qa        review     ✘ task 1/1 sent back: converter.py: quoted newlines lose a row red
00:32 coo       task       task 1/1, rework 1: Converter
00:40 qa        judge      task 1/1: the model says approved                          $0.055
00:41 qa        review     ✔ task 1/1 approved
00:42 coo       paused     ⏸ paused_approval: waiting for the CEO to release it
00:42 approval  asks       ⏸ release of 1 files, sha256 9f9f9f9f9f9f
01:00 ceo       approve    nice
01:00 approval  approved   ✔ sha256 9f9f9f9f9f9f
✔ completed in 1m10s · $0.094 of $2.00 · 1 file"""


def logged(events: list[Event]) -> list[Stored]:
    """Return events as a log holds them; what a role answers is caused by the event before."""
    log: list[Stored] = []
    for n, (at_s, sender, to, message) in enumerate(events, 1):
        before = log[-1].headers["ce-id"] if log else "0"
        cause = Cause(events[n - 2][1] if log else "ceo", before, n - 1, START, "")
        letter = seal(
            TABLE, sender=sender, version=1, to=to, mission=NAME, message=message, cause=cause, ordinal=n
        )
        time_ns = START + int(at_s * SECOND)
        log.append(Stored(n, time_ns, letter.subject, letter.headers, letter.body))
    return log


def recorded(events: list[Event]) -> Record:
    record = Record(NAME)
    for stored in logged(events):
        record.add(stored)
    return record


def lines_of(events: list[Event]) -> list[str]:
    record, timeline = Record(NAME), Timeline()
    lines: list[str] = []
    for stored in logged(events):
        mail = record.add(stored)
        assert mail is not None
        counted = 84 if mail.kind == "reply" else None
        lines += [str(line) for line in timeline.tell(mail, counted)]
    return [*lines, closing(record, 0)]


def test_a_mission_reads_as_who_did_what_when_and_for_how_much() -> None:
    assert "\n".join(lines_of(CALM)) == LINES


REFUSED = m.Refused(
    attempt="a.1", refusal=m.Refusal(scope="mission", needed_microusd=60_000, remaining_microusd=20_000)
)
LATE = "nobody decided in time; a later decision still counts"


@pytest.mark.parametrize(
    ("sender", "to", "message", "line"),
    [
        ("ceo", "coo", m.Control(action="pause", reason="wait"), "ceo       pause      wait"),
        ("coo", "ceo", m.Declined(reason="no"), "coo       declined   no"),
        ("approval", "coo", m.Expired(digest="9f"), f"approval  expired    {LATE}"),
        ("approval", "coo", m.Rejected(digest="9f"), "approval  rejected   ✘ sha256 9f"),
        (
            "qa",
            "coo",
            Error(mailbox="qa", seq=9, reason="raised", detail="x"),
            "qa        error      ✘ message 9: raised: x",
        ),
        ("budget", "model-qa", REFUSED, "budget    refused    ✘ mission: needs $0.06, $0.02 left"),
        (
            "model-coo",
            "coo",
            reply("plan", status="failed", error="no_script", detail="x"),
            "coo       plan       ✘ no_script: x",
        ),
        ("engineer", "coo", judged("stuck", reason="no Docker"), "engineer  stuck      ✘ task 1: no Docker"),
        (
            "qa",
            "coo",
            judged("rejected", number=1, reason="bad"),
            "qa        review     ✘ task 2 sent back: bad",
        ),
    ],
)
def test_what_goes_wrong_is_one_line(sender: str, to: str, message: msgspec.Struct, line: str) -> None:
    assert lines_of([CALM[0], (3, sender, to, message)])[1] == f"00:03 {line}"


def test_going_on_after_a_pause_is_told_and_an_older_status_is_not() -> None:
    pause = m.Status(state="paused_manual", at=5, reason="the CEO paused it")
    late = m.Status(state="planning", at=2)
    on = m.Status(state="executing", at=9)
    events = [CALM[0], *[(float(n), "coo", "ceo", status) for n, status in enumerate([pause, late, on], 1)]]
    assert lines_of(events)[1:-1] == [
        "00:01 coo       paused     ⏸ paused_manual: the CEO paused it",
        "00:03 coo       goes on    executing",
    ]


def test_the_greatest_status_counts_whatever_came_last() -> None:
    record = recorded(
        [
            CALM[0],
            (1, "coo", "ceo", m.Status(state="executing", at=8)),
            (2, "coo", "ceo", m.Status(state="planning", at=3)),
        ]
    )
    assert record.state == "executing"


def test_a_mission_that_nobody_took_up_is_published() -> None:
    record = recorded(CALM[:1])
    assert (record.state, record.rests, record.is_answered) == ("published", False, True)


def test_a_pause_is_not_the_end_while_the_word_against_it_is_under_way() -> None:
    paused = recorded(CALM[:20])
    assert (paused.rests, paused.is_answered) == (True, True)
    assert not recorded(CALM[:21]).is_answered
    assert not recorded(CALM[:22]).is_answered
    declined = [*CALM[:21], (61.0, "approval", "ceo", m.Declined(reason="no"))]
    assert recorded(declined).is_answered


@pytest.mark.parametrize(
    ("state", "code"),
    [
        ("completed", 0),
        ("failed", 3),
        ("cancelled", 3),
        ("paused_budget", 5),
        ("paused_approval", 4),
        ("paused_error", 4),
        ("paused_manual", 4),
    ],
)
def test_every_state_that_rests_has_its_exit_code(state: m.State, code: int) -> None:
    assert exit_of(state) == code
    record = recorded([CALM[0], (1, "coo", "ceo", m.Status(state=state, at=2, fix="do this"))])
    assert record.rests
    assert (NAME in next_step(record)) == (state not in ("failed", "cancelled"))


def test_what_show_prints_as_json_is_complete() -> None:
    told = recorded(CALM).told(0)
    assert told == {
        "id": NAME,
        "status": "completed",
        "goal": "Build a CSV to JSON converter",
        "spent_usd": "0.094",
        "held_usd": "0.00",
        "in_doubt_usd": "0.00",
        "cap_usd": "2.00",
        "currency": "USD",
        "tasks": [],
        "reason": "",
        "fix": "",
        "asks": "",
        "asks_raise_usd": "",
        "evidence": "",
        "deliverable": [{"path": "converter.py", "sha256": "ab" * 32, "size": 84}],
        "model": "scripted",
        "models": {"coo": "scripted", "engineer": "scripted", "qa": "scripted"},
        "scripted": True,
        "refusal": None,
        "published": "2026-09-21T14:13:20.000000000Z",
        "updated": "2026-09-21T14:14:30.000000000Z",
    }


def test_the_result_of_following_names_state_and_exit_code() -> None:
    last = result(recorded(CALM), 0)
    assert {key: last[key] for key in ("type", "mission", "state", "exit", "duration_s")} == {
        "type": "coo.cli.result",
        "mission": NAME,
        "state": "completed",
        "exit": 0,
        "duration_s": 70.0,
    }


def test_an_event_is_the_message_with_its_place_and_one_that_cannot_be_read_has_none() -> None:
    stored = logged(CALM[:1])[0]
    mail = Record(NAME).add(stored)
    assert event(stored, mail) == {
        "type": "coo.log.message",
        "seq": 1,
        "time": "2026-09-21T14:13:20.000000000Z",
        "mission": NAME,
        "to": "coo",
        "kind": "mission",
        "from": "ceo",
        "id": stored.headers["ce-id"],
        "message": json.loads(stored.body),
    }
    broken = Stored(2, START, f"coo.m.{NAME}.coo.mission", {}, b"[" * 100)
    assert Record(NAME).add(broken) is None
    assert event(broken, None)["message"] is None


def test_the_sheet_says_why_and_what_next(capsys: pytest.CaptureFixture[str]) -> None:
    refusal = m.Refusal(scope="mission", needed_microusd=60_000, remaining_microusd=20_000)
    tasks = (m.TaskStatus(title="A\x1b[2Jtask", state="executing", attempts=1),)
    status = m.Status(
        state="paused_budget", at=2, reason="no money\nat all", fix="more", tasks=tasks, refusal=refusal
    )
    sheet(recorded([CALM[0], (1, "coo", "ceo", status)]).told(0))
    assert capsys.readouterr().out.splitlines() == [
        f"mission    {NAME}",
        "status     paused_budget",
        "reason     no money at all",
        "fix        more",
        "refused    mission: needs $0.06, $0.02 left",
        "goal       Build a CSV to JSON converter",
        "money      $0.00 spent, $0.00 held, of $2.00",
        "model      scripted",
        "published  2026-09-21T14:13:20.000000000Z",
        "updated    2026-09-21T14:13:21.000000000Z",
        "",
        "TASK  STATE      ATTEMPTS  TITLE",
        "1     executing  1         Atask",
    ]
