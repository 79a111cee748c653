"""Every (phase, message) pair of every role is walked: only the arrows of its picture exist."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from actors import messages as m
from actors import raising
from actors.company import role
from actors.orders import Orders
from actors.roles import approval, coo, engineer, qa
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
DIGEST = coo.digest_of(FILES)
RAISE = raising.digest_of(100, 10_000)


def reply(turn: str, status: str = "answered", **more: Any) -> m.Reply:
    return m.Reply(turn=turn, number=0, rework=0, status=status, **more)  # type: ignore[arg-type]


def outcome(run: str, status: str = "ok", code: int | None = 0) -> m.Outcome:
    return m.Outcome(run=run, number=0, rework=0, status=status, exit_code=code)


def result(status: str) -> m.Result:
    return m.Result(number=0, rework=0, status=status, files=FILES, rounds=1, refusal=REFUSAL)  # type: ignore[arg-type]


APPROVED = m.Verdict(verdict="approved")
REJECTED = m.Verdict(verdict="rejected", reason="no")
SAMPLES: dict[str, list[msgspec.Struct]] = {
    "mission": [MISSION],
    "control": [m.Control(action=action) for action in ("pause", "resume", "cancel")],  # type: ignore[arg-type]
    "limits": [m.Limits(day_microusd=100, month_microusd=1000, mission_microusd=100)],
    "decision": [
        m.Decision(digest=digest, verdict=verdict)  # type: ignore[arg-type]
        for digest in (DIGEST, RAISE, "other")
        for verdict in ("approve", "reject")
    ]
    + [m.Decision(digest="own", verdict="approve", raise_microusd=7)],
    "task": [TASK],
    "hold_work": [m.HoldWork()],
    "go_on": [m.GoOn()],
    "result": [result(status) for status in ("done", "approved", "rejected", "failed", "stuck", "refused")],
    "outcome": [
        *(outcome(run) for run in ("acceptance", "control", "checks")),
        *(outcome(run, "failed", 1) for run in ("acceptance", "control", "checks")),
        *(outcome("acceptance", status, None) for status in ("dropped", "not_started", "timeout")),
        m.Outcome(run="acceptance", number=0, rework=0, status="dropped", final=True),
    ],
    "reply": [
        reply("plan", plan=(PLAN,)),
        reply("code", files=FILES),
        reply("checks", files=FILES, argv=("python3", "c.py")),
        reply("judge", verdict=APPROVED),
        reply("judge", verdict=REJECTED),
        *(
            reply(turn, status, error="invalid_answer", refusal=REFUSAL)
            for turn in ("plan", "code", "checks", "judge")
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


def walk(name: str, phase: Callable[[Any], str]) -> set[tuple[str, str]]:
    """Walk from the first state over every mail, to every state that differs by phase and what is out."""
    found = role(name)
    seen: dict[str, Any] = {}
    todo = [found.state()]
    arrows = set()
    while todo:
        state = todo.pop()
        for mail in mail_to(name, len(seen) + 1):
            try:
                step = found.handle(state, mail)
            except ValueError as error:
                if not any(
                    words in str(error) for words in ("cannot say", "has no account", "was never opened")
                ):
                    raise  # these are dead letters: mail that its sender has no business to send
                continue
            assert isinstance(step.state, found.state)
            for letter in step.letters:
                TABLE.kind_of(name, letter.to, letter.message)
            arrows.add((phase(state), phase(step.state)))
            known = fingerprint(step.state, phase)
            if known not in seen and len(seen) < 4000:
                seen[known] = step.state
                todo.append(step.state)
    return {(a, b) for a, b in arrows if a != b}


def fingerprint(state: Any, phase: Callable[[Any], str]) -> str:
    orders = getattr(state, "orders", None)
    out = (
        (sorted(orders.calls), sorted(orders.runs), sorted(orders.parked), orders.held, orders.over)
        if orders
        else ()
    )
    counts = [min(getattr(state, n, 0), 3) for n in ("round", "tries", "plans", "loops")]
    return repr(
        (
            phase(state),
            out,
            counts,
            getattr(state, "owed", None),
            getattr(state, "stage", None),
            getattr(state, "over", None),
        )
    )


def test_the_engineer_goes_only_the_ways_of_its_picture() -> None:
    def phase(bench: engineer.Bench) -> str:
        if bench.orders.is_out(engineer.CALL):
            return "coding"
        return "running" if bench.orders.is_out(engineer.RUN) else "idle"

    assert walk("engineer", phase) == {
        ("idle", "coding"),
        ("coding", "running"),
        ("coding", "idle"),
        ("running", "coding"),
        ("running", "idle"),
    }
    assert all(word in str(engineer.__doc__) for word in ("idle", "coding", "running"))


def test_qa_goes_only_the_ways_of_its_picture() -> None:
    assert walk("qa", lambda bench: bench.phase) == {
        ("idle", "proving"),
        ("proving", "idle"),
        ("proving", "checking"),
        ("checking", "idle"),
        ("checking", "judging"),
        ("checking", "proving"),
        ("judging", "idle"),
        ("judging", "proving"),
    }
    assert all(word in str(qa.__doc__) for word in ("idle", "proving", "checking", "judging"))


def test_the_gate_decides_each_request_once() -> None:
    arrows = walk("approval", lambda gate: "over" if gate.over else gate.requests.get(DIGEST, "none"))
    assert {(a, b) for a, b in arrows if b != "over"} == {
        ("none", "asked"),
        ("asked", "approved"),
        ("asked", "rejected"),
        ("asked", "expired"),
        ("expired", "approved"),
        ("expired", "rejected"),
    }
    assert str(approval.__doc__).count("approved") > 0


def test_a_raise_is_withdrawn_by_the_next_one() -> None:
    arrows = walk("approval", lambda gate: "over" if gate.over else gate.requests.get(RAISE, "none"))
    assert {(a, b) for a, b in arrows if b != "over"} == {
        ("none", "asked"),
        ("asked", "approved"),
        ("asked", "rejected"),
        ("asked", "expired"),
        ("asked", "withdrawn"),
        ("expired", "approved"),
        ("expired", "rejected"),
        ("expired", "withdrawn"),
    }
    assert "withdrawn" in str(approval.__doc__)


def test_the_coo_never_leaves_a_final_state_and_names_only_states_there_are() -> None:
    def phase(desk: coo.Desk) -> str:
        return desk.state if desk.stage != "none" else "none"

    arrows = walk("coo", phase)
    states = {a for a, _ in arrows} | {b for _, b in arrows}
    assert states - {"none"} == set(msgspec.inspect.type_info(m.State).values)  # type: ignore[attr-defined]
    assert not {a for a, _ in arrows} & m.FINAL
    assert {a for a, b in arrows if b == "completed"} <= {"reviewing", *m.PAUSED}


def test_the_guard_answers_every_mail() -> None:
    walk("budget", lambda ledger: str(sorted(ledger.missions)))


@pytest.mark.parametrize("name", ["coo", "engineer", "qa", "budget", "approval"])
def test_a_mail_of_a_kind_without_a_rule_raises_and_is_not_swallowed(name: str) -> None:
    found = role(name)
    start = coo.Desk(mission=MISSION, stage="planning") if name == "coo" else found.state()
    mail = Mail(
        seq=1,
        now_ns=1,
        mission="m-1",
        to=name,
        kind="x",
        sender="ceo",
        id="x",
        message=m.Wake(name="", at_ns=1),
    )
    with pytest.raises(ValueError, match="has no rule for Wake"):
        found.handle(start, mail)


def test_orders_parked_while_held_go_out_once_and_name_what_they_retry() -> None:
    call = m.Call(turn="code", model="scripted", max_output_tokens=1)
    orders, sent = Orders(model="model-engineer").hold().send(call)
    assert sent == []
    orders, sent = orders.go_on()
    assert [(letter.to, letter.retry_of) for letter in sent] == [("model-engineer", "")]
    answer = Mail(
        seq=1, now_ns=1, mission="m", to="engineer", kind="reply", sender="model-engineer", id="i",
        message=reply("code", "dropped"), cause="engineer/the-old-id",
    )  # fmt: skip
    orders, sent = orders.dropped("code", answer)
    assert [(letter.to, letter.retry_of) for letter in sent] == [("model-engineer", "the-old-id")]
    assert orders.done("code").go_on()[1] == []


def test_the_same_mail_folded_under_two_hash_seeds_gives_byte_equal_letters() -> None:
    def folded(seed: str) -> bytes:
        code = "import sys, test_roles; sys.stdout.buffer.write(test_roles.letters_of_a_walk())"
        path = os.pathsep.join([str(Path(__file__).parent), "."])
        done = subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            check=True,
            env={
                "PYTHONHASHSEED": seed,
                "PYTHONPATH": path,
                "PATH": os.environ["PATH"],
            },
        )
        return done.stdout

    first = folded("1")
    assert len(first) > 10_000
    assert folded("2") == first == folded("12345")


def letters_of_a_walk() -> bytes:
    """Fold a fixed sequence of mails through every role; return all letters with ids, and the state."""
    from bus.envelope import Stored, base_headers, encode
    from bus.fold import Fold

    lines = []
    for name in ("coo", "engineer", "qa", "budget", "approval"):
        fold: Fold[Any] = Fold(TABLE, role(name))
        for seq, mail in enumerate(mail_to(name) * 2, start=1):
            headers = base_headers(f"{mail.id}-{seq}", mail.sender, mail.kind, seq)
            subject = f"coo.m.m-1.{name}.{mail.kind}.{mail.sender}"
            decision = fold.apply(Stored(seq, seq, subject, headers, encode(mail.message)))
            lines += [
                f"{letter.subject} {sorted(letter.headers.items())} {letter.body.decode()}"
                for letter in decision.letters
            ]
        lines.append(fold.snapshot().decode())
    return "\n".join(lines).encode()
