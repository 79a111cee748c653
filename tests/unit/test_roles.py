"""Every (phase, message) pair of every role is walked: only the arrows of its picture exist."""

from __future__ import annotations

import re
from collections.abc import Callable
from types import ModuleType
from typing import Any

import msgspec
import pytest
from role_samples import DIGEST, EXAM, MISSION, RAISE, SAMPLES, TASK, mail_to, outcome, reply
from sources import ROOT

from actors import messages as m
from actors.process.wiring import role
from actors.roles import approval, engineer
from actors.roles.coo import role as coo
from actors.roles.coo import states
from actors.roles.qa import role as qa
from actors.roles.worker import Orders
from actors.table import TABLE
from bus.envelope import Mail


def after(name: str, *messages: msgspec.Struct) -> Any:
    """Return a role's state after some mail."""
    state = role(name).state()
    for mail in (mail for message in messages for mail in mail_to(name) if mail.message == message):
        state = role(name).handle(state, mail).state
    return state


def walk(name: str, phase: Callable[[Any], str], *starts: Any) -> set[tuple[str, str]]:
    """Walk from the first state over every mail, to every state that differs by phase and what is out."""
    found = role(name)
    seen: dict[str, Any] = {}
    todo = [found.state(), *starts]
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
            if known not in seen and len(seen) < 12_000:
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
    counts = [min(getattr(state, n, 0), 3) for n in ("round", "tries", "plans", "loops", "faults", "wrong")]
    marks = {
        label: (bool(said.fault), bool(said.fails)) for label, said in getattr(state, "marks", {}).items()
    }
    exam = (
        getattr(state, "paper", None) is None,
        sorted(getattr(state, "asked", ())),
        marks,
        len(getattr(state, "answers", ())),
    )
    return repr(
        (
            phase(state),
            out,
            counts,
            exam,
            getattr(state, "owed", None),
            getattr(state, "stage", None),
            getattr(state, "over", None),
        )
    )


def drawn(module: ModuleType) -> set[tuple[str, str]]:
    """Return the arrows of the picture in a module's docstring."""
    return set(re.findall(r"^    (\w+) ── .+ ──> (\w+)$", str(module.__doc__), re.MULTILINE))


def test_the_engineer_goes_the_ways_of_its_picture_and_no_other() -> None:
    assert walk("engineer", lambda bench: bench.phase) == drawn(engineer)


def test_qa_goes_the_ways_of_its_picture_and_no_other() -> None:
    reworked = after("qa", TASK, outcome("acceptance"), reply("exam", exam=EXAM), SAMPLES["task"][1])
    arrows = walk("qa", lambda bench: "over" if bench.orders.over else bench.phase, reworked)
    work = {"writing", "examining", "marking", "judging"}
    anew = {(phase, "proving") for phase in work}
    assert {(a, b) for a, b in arrows if b != "over"} - anew == drawn(qa)
    assert anew <= arrows


def test_the_gate_decides_each_request_once_and_the_next_raise_withdraws_one() -> None:
    def of(digest: str) -> set[tuple[str, str]]:
        arrows = walk("approval", lambda gate: "over" if gate.over else gate.requests.get(digest, "none"))
        return {(a, b) for a, b in arrows if b != "over"}

    assert of(RAISE) == drawn(approval)
    assert of(DIGEST) == {(a, b) for a, b in drawn(approval) if b != "withdrawn"}


def test_the_coo_never_leaves_a_final_state_and_names_only_states_there_are() -> None:
    def phase(desk: coo.Desk) -> str:
        return desk.state if desk.stage != "none" else "none"

    arrows = walk("coo", phase)
    states = {a for a, _ in arrows} | {b for _, b in arrows}
    assert states - {"none"} == set(msgspec.inspect.type_info(m.State).values)
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


def letters_of_a_walk() -> bytes:
    """Fold a fixed sequence of messages through every role; return all letters with ids, and the state."""
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


def test_the_pictures_of_a_mission_s_life_are_made_from_its_tables() -> None:
    docs = (ROOT / "docs" / "architecture.md").read_text("utf-8")
    assert f"```mermaid\n{states.diagram()}\n```" in docs, states.diagram()
    assert f"\n{states.picture()}\n" in str(coo.__doc__), states.picture()
