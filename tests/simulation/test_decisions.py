"""What every role decides, over all the states that its mail leads to: the same as when it was recorded.

The digests are of every (state, mail, next state, letters) that the code of the versions below reached. A
role whose decisions change gets a higher version, and a digest of its own then.
"""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec
import pytest
from role_samples import MISSION, PLAN, TERMS, mail_to, reply

from actors import messages as m
from actors.process.wiring import role
from actors.roles.coo import states
from actors.roles.coo.role import Desk
from bus.envelope import Mail, encode

RECORDED = {
    "coo": (5, 599_544, "384e3eb256a5bc6a43d9553282bab3ed5351ad08a413cc0342d09a368ac60b94"),
    "engineer": (3, 11_544, "c1698216466ad246ce3619e43b7e1bfc69f8bfbdb845e470006e64d54bd66dd6"),
    "qa": (3, 111_000, "d6b2569e5801a8ada74300a79d0d127695261db94bffc4713cb266632d6242f3"),
    "approval": (4, 2_482, "3e43853e6a5ecd204a2f2c047eb5aea1249b076cdd019667c88aebffdb003dac"),
}
"""By role: its version, how many decisions were reached, and their digest."""

MOST_STATES = 1_500

LIFE: dict[str, Any] = {"MOVES": states.MOVES, "PAUSES": states.PAUSES, "ENDS": states.ENDS}

STARTS = {
    "asks": TERMS,
    "asks_nothing": msgspec.structs.replace(TERMS, ask_release=False, ask_raise=False),
    "parks": msgspec.structs.replace(TERMS, park_after_s=60, deadline_s=600, on_new_day="resume"),
    "short": msgspec.structs.replace(TERMS, max_messages=6, max_loops=0, max_tasks=1),
}
"""Terms of missions that go different ways."""

MORE = {
    "coo": [
        reply("plan", plan=(PLAN, PLAN)),
        reply("plan", plan=()),
        m.Frozen(reason="overrun", attempt="c.1", held_microusd=5, cost_microusd=9, doubted=True),
        *(
            reply("plan", "refused", refusal=m.Refusal(scope=scope, needed_microusd=9, remaining_microusd=1))
            for scope in ("day", "month", "no_limits")
        ),
        m.Rejected(digest="", note="no"),
    ],
}
"""What is sent besides the samples of every kind."""


def begin(terms: m.Terms) -> Desk:
    """Return the COO's state of a mission that was just given; of a short one it is late."""
    mission = msgspec.structs.replace(MISSION, terms=terms)
    [given, *_] = [mail for mail in mail_to("coo") if mail.kind == "mission"]
    desk: Desk = role("coo").handle(Desk(), msgspec.structs.replace(given, message=mission)).state
    return msgspec.structs.replace(desk, mails=max(1, 12 - terms.max_messages))


def samples(name: str, seq: int, state: Any) -> list[Mail]:
    """Return every mail that a role can get, and what fits its state: the digests and times it waits for."""
    mail = mail_to(name, seq)
    first = {one.kind: one for one in reversed(mail)}
    for message in MORE.get(name, ()):
        [kind] = {one.kind for one in mail if type(one.message) is type(message)}
        mail.append(msgspec.structs.replace(first[kind], message=message, id=f"more-{len(mail)}"))
    if isinstance(state, Desk):
        for tick in ("pause", "park", "new_period"):
            at_ns = getattr(state, {"pause": "pause_ends_ns"}.get(tick, f"{tick}_ns"))
            mail.append(
                msgspec.structs.replace(first["tick"], message=m.Tick(name=tick, at_ns=at_ns), id=tick)
            )
        for kind, word in (("approved", m.Approved), ("rejected", m.Rejected), ("expired", m.Expired)):
            for digest in sorted({state.digest, state.asks_raise} - {""}):
                mail.append(
                    msgspec.structs.replace(first[kind], message=word(digest=digest), id=f"{kind}-own")
                )
        for number in range(len(state.jobs)):
            for sender in ("engineer", "qa"):
                for status in ("done", "approved", "rejected", "failed", "stuck", "refused", "blocked"):
                    result = m.Result(
                        number=number, rework=state.jobs[number].rework, status=status, rounds=1,
                        refusal=m.Refusal(scope="mission", needed_microusd=5, remaining_microusd=1),
                    )  # fmt: skip
                    mail.append(
                        msgspec.structs.replace(
                            first["result"], sender=sender, message=result, id=f"{sender}-{number}-{status}"
                        )
                    )
    return mail


def fingerprint(state: Any) -> bytes:
    """Return what makes two states the same for this walk: all but counters and times beyond a few."""
    told = msgspec.to_builtins(state)
    for name in ("mails", "pauses", "pause_ends_ns", "park_ns", "new_period_ns", "messages"):
        told.pop(name, None)
    for name in ("plans", "loops", "round", "tries", "asked_raises", "unreadable", "replans"):
        if name in told:
            told[name] = min(told[name], 3)
    if "jobs" in told:
        told["jobs"] = [(job["state"], min(job["rework"], 2)) for job in told["jobs"]]
    for name in ("reason", "fix", "blocked", "answers", "told", "repeated"):
        told.pop(name, None)
    if "orders" in told:
        told["orders"] = {k: v for k, v in told["orders"].items() if k not in ("went_on", "messages")}
    return msgspec.json.encode(told, order="deterministic")


def walk(name: str) -> tuple[int, str, list[Any]]:
    """Return how many decisions are reached, a digest of them all, and the states they were reached from."""
    found, hashed, count, reached = role(name), hashlib.sha256(), 0, list[Any]()
    starts: list[Any] = [begin(terms) for terms in STARTS.values()] if name == "coo" else [found.state()]
    for start in starts:
        seen, todo = {fingerprint(start)}, [start]
        while todo:
            state = todo.pop(0)
            reached.append(state)
            for mail in samples(name, len(seen) + 1, state):
                try:
                    step = found.handle(state, mail)
                except ValueError as error:
                    hashed.update(f"{mail.id} raises {error}\n".encode())
                    continue
                count += 1
                letters = [
                    (x.to, x.mission, x.retry_of, type(x.message).__name__, encode(x.message))
                    for x in step.letters
                ]
                hashed.update(repr((mail.id, msgspec.json.encode(step.state), letters, step.forget)).encode())
                known = fingerprint(step.state)
                if known not in seen and len(seen) < MOST_STATES:
                    seen.add(known)
                    todo.append(step.state)
    return count, hashed.hexdigest(), reached


@pytest.mark.parametrize("name", RECORDED)
def test_every_decision_is_what_it_was_in_this_version(name: str) -> None:
    version, count, digest = RECORDED[name]
    assert role(name).version == version
    assert walk(name)[:2] == (count, digest)


def test_every_row_of_a_mission_s_life_is_walked_and_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    tables = {id(table): name for name, table in LIFE.items()}
    used, row = set(), states._row

    def noted(table: Any, state: str, event: str) -> Any:
        found = row(table, state, event)
        used.add((tables[id(table)], state, event))
        return found

    monkeypatch.setattr(states, "_row", noted)
    used.add(("MOVES", "none", "a mission"))  # its first message, from which the walk begins
    [tick, *_] = [mail for mail in mail_to("coo") if mail.kind == "tick"]
    quiet = msgspec.structs.replace(tick, message=m.Tick(name="none", at_ns=0))
    for desk in walk("coo")[2]:
        if not desk.final:  # the walk does not count messages: here so many have come
            late = msgspec.structs.replace(desk, mails=2 * desk.terms.max_messages - 1)
            assert role("coo").handle(late, quiet).state.final == "failed"
    assert used == {(name, *key) for name, table in LIFE.items() for key in table}


def test_what_has_no_row_is_refused_with_a_reason_and_changes_nothing() -> None:
    for name, find in (("MOVES", states.moved), ("PAUSES", states.paused), ("ENDS", states.ended)):
        events = {event for _, event in LIFE[name]}
        for state in {state for table in LIFE.values() for state, _ in table} | {"over"}:
            for event in events:
                if (state, event) not in LIFE[name]:
                    with pytest.raises(states.Illegal, match="has no event"):
                        find(state, event)
