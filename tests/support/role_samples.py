"""Every mail that a role can get, by kind."""

from __future__ import annotations

from typing import Any

import msgspec

from actors import messages as m
from actors.roles.coo import raising
from actors.roles.evidence import digest_of
from actors.table import TABLE
from bus.envelope import Mail
from bus.table import Buried, Checkpoint, Error, Ref, Released

REF = Ref(owner="model-engineer", digest="0" * 64, size=1)
FILES = {"a.py": REF}
TERMS = m.Terms(
    models={"coo": "scripted", "engineer": "scripted", "qa": "scripted"}, ask_release=True, ask_raise=True
)
PLAN = m.PlannedTask(title="t", brief="b", acceptance=("python3", "t.py"), outputs=("a.py",))
REFUSAL = m.Refusal(scope="mission", needed_microusd=5, remaining_microusd=1)
TASK = m.Task(number=0, plan=PLAN, goal="g", terms=TERMS, files=FILES)
MISSION = m.Mission(goal="g", budget_microusd=100, terms=TERMS)
DIGEST = digest_of(FILES)
RAISE = raising.digest_of(100, 10_000)


def reply(turn: str, status: str = "answered", **more: Any) -> m.Reply:
    return m.Reply(turn=turn, number=0, rework=0, status=status, **more)


def outcome(run: str, status: str = "ok", code: int | None = 0, **more: Any) -> m.Outcome:
    return m.Outcome(run=run, number=0, rework=0, status=status, exit_code=code, **more)


def result(status: str, **more: Any) -> m.Result:
    return m.Result(number=0, rework=0, status=status, files=FILES, rounds=1, refusal=REFUSAL, **more)


EXAM = m.Exam(
    cases=(m.Case(name="one", argv=("python3", "a.py")), m.Case(name="two", argv=("python3", "a.py", "2"))),
    marker=("python3", "qa_exam/mark.py"),
    files={"qa_exam/mark.py": REF},
)
SHADOWING = m.Exam(cases=(m.Case(name="one", argv=("x",), inputs={"a.py": REF}),), marker=("x",))
OTHER = Ref(owner="sandbox", digest="1" * 64, size=2)


def exam_runs(number: int) -> list[m.Outcome]:
    """What comes of the exam of this number, in the order in which its runs may come back."""
    shown = {"exit_code": REF, "stdout": REF, "stderr": REF}
    runs = [
        *(outcome(f"case-{name}", recorded={**shown, "stdout": ref}) for name, ref in CASES),
        outcome("before-one", "failed", 1, recorded=shown),
        outcome("marks-before", stdout="FAIL one: no\n"),
        *(outcome(label, stdout="FAIL one: no\nFAIL two\n") for label in ("marks-empty", "marks-swapped")),
        outcome("marks", stdout="PASS one\nPASS two\n"),
        outcome("marks", stdout="PASS one\nPASS one\n"),
        outcome("marks", stdout="PASS one\nFAIL two: no\n"),
        outcome("case-one", "timeout", None, recorded=shown),
    ]
    return [msgspec.structs.replace(run, round=number) for run in runs]


CASES = (("one", REF), ("two", OTHER))


APPROVED = m.Verdict(verdict="approved")
REJECTED = m.Verdict(verdict="rejected", reason="no")
SAMPLES: dict[str, list[msgspec.Struct]] = {
    "mission": [MISSION],
    "control": [m.Control(action=action) for action in ("pause", "resume", "cancel")],
    "limits": [m.Limits(day_microusd=100, month_microusd=1000, mission_microusd=100)],
    "decision": [
        m.Decision(digest=digest, verdict=verdict)
        for digest in (DIGEST, RAISE, "other")
        for verdict in ("approve", "reject")
    ]
    + [m.Decision(digest="own", verdict="approve", raise_microusd=7)],
    "task": [TASK, msgspec.structs.replace(TASK, rework=1, files={"a.py": OTHER})],
    "hold_work": [m.HoldWork()],
    "go_on": [m.GoOn()],
    "result": [
        *(result(status) for status in ("done", "rejected", "failed", "stuck", "refused", "blocked")),
        result("approved", examined=DIGEST, rank="observed"),
        result("approved", examined="other", rank="observed"),
        result("approved", examined=DIGEST, rank="claimed"),
    ],
    "outcome": [
        *(outcome(run) for run in ("acceptance", "control", "checks")),
        outcome("acceptance", "failed", 1),
        msgspec.structs.replace(outcome("acceptance"), rework=1),
        outcome("acceptance", "failed", 127),
        *(run for number in (1, 2, 3) for run in exam_runs(number)),
        *(outcome("acceptance", status, None) for status in ("dropped", "not_started", "timeout")),
        m.Outcome(run="acceptance", number=0, rework=0, status="dropped", final=True),
    ],
    "reply": [
        reply("plan", plan=(PLAN,)),
        reply("code", files=FILES),
        reply("code", blocked="no such command"),
        reply("code", files={"qa_exam/a.py": REF}),
        *(reply("exam", exam=EXAM, round=number) for number in (0, 1, 2)),
        reply("exam", "failed", error="no_script"),
        reply("exam", exam=SHADOWING),
        reply("judge", verdict=APPROVED),
        reply("judge", verdict=REJECTED),
        *(
            reply("judge", verdict=m.Verdict(verdict="rejected", reason="no", at_fault=fault))
            for fault in ("work", "case", "brief")
        ),
        reply("judge", verdict=m.Verdict(verdict="rejected", findings=(m.Finding(problem="p", taste=True),))),
        *(
            reply(turn, status, error="invalid_answer", refusal=REFUSAL)
            for turn in ("plan", "code", "exam", "judge")
            for status in ("refused", "failed", "dropped")
        ),
        reply("code", "failed", error="no_script"),
        reply("plan", "failed", error="no_script"),
    ],
    "opened": [m.Opened()],
    "queued": [m.Queued(slots=1)],
    "approved": [m.Approved(digest=DIGEST), m.Approved(digest="other")],
    "rejected": [m.Rejected(digest=DIGEST), m.Rejected(digest=RAISE)],
    "expired": [m.Expired(digest=DIGEST), m.Expired(digest=RAISE)],
    "tick": [
        m.Tick(name=name, at_ns=1) for name in ("deadline", "pause", "park", "new_period", DIGEST, RAISE)
    ],
    "error": [Error(mailbox="qa", seq=1, reason="raised", detail="d")],
    "request": [
        m.Request(what="release", digest=DIGEST, why="w", timeout_s=1),
        m.Request(what="raise", digest=RAISE, why="w", timeout_s=1, raise_microusd=50),
        m.Request(what="raise", digest="later", why="w", timeout_s=1, raise_microusd=60),
    ],
    "raise": [m.Raise(digest=RAISE, microusd=500, asked=asked) for asked in (True, False)],
    "raised": [m.Raised(digest=RAISE, cap_microusd=500, applied=applied) for applied in (True, False)],
    "frozen": [m.Frozen(reason="overrun", attempt="c.1", held_microusd=5, cost_microusd=9)],
    "reserve": [
        m.Reserve(attempt="c.1", microusd=5, timeout_s=1),
        m.Reserve(attempt="c.2", microusd=500, timeout_s=1),
    ],
    "sent": [m.Sent(attempt="c.1", nonce="n", microusd=5)],
    "settle": [m.Settle(attempt="c.1", microusd=3), m.Settle(attempt="c.9", microusd=3)],
    "void": [m.Void(attempt="c.1", proof="not_sent")],
    "open": [m.Open(cap_microusd=100)],
    "park": [m.Park()],
    "close": [m.Close(state="completed")],
}


def mail_to(addressee: str, seq: int = 1) -> list[Mail]:
    """Return every mail that a role can get."""
    return [
        Mail(
            seq=seq,
            now_ns=seq * 10**9,
            mission="m-1",
            to=addressee,
            kind=row.kind,
            sender=row.sender,
            id=f"{row.kind}-{row.sender}-{n}",
            message=message,
            cause=f"{addressee}/old",
        )
        for row in TABLE.rows
        if row.to == addressee and row.message not in (Checkpoint, Buried, Released)
        for n, message in enumerate(SAMPLES[row.kind])
    ]
