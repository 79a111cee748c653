"""Recorded logs of this and earlier versions: what they decided stands, and what was in flight is finished.

How to record, and when: `tests/recordings/record.py` and CONTRIBUTING.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
from recorded_company import RECORDINGS, ROLES, Company, Connect, on_memory, on_server, read_log

from actors import messages as m
from actors.performers.proofs import PERFORMERS
from actors.process.wiring import role
from actors.projections.audit import prove
from actors.projections.guard import read_letters
from actors.projections.record import read_record
from actors.table import TABLE
from bus import blobs
from bus.envelope import Mail, Stored, open_mail
from bus.errors import BadMail, DecisionChanged
from bus.fold import Fold, Role, Step
from bus.loops.versions import Earlier
from bus.subjects import COMPANY, MAIL_STREAM
from bus.table import Checkpoint
from bus.verify import verify

LOGS = sorted(RECORDINGS.glob("*/*.log.gz"))
IN_FLIGHT = ("release", "raise", "paused", "called", "waiting", "running", "opening")
RAISED = {name: replace(role(name), version=role(name).version + 1) for name in ROLES}
"""The next version of every role, which decides as this one does."""


def name_of(log: Path) -> str:
    return f"{log.parent.name}-{log.name.removesuffix('.log.gz')}"


recorded = pytest.mark.parametrize("log", LOGS, ids=name_of)


# -- what was decided -----------------------------------------------------------------------------------


def key_of(name: str, subject: str) -> str:
    return COMPANY if TABLE.mailbox(name).per == "company" else subject.split(".")[2]


def by_key(name: str, messages: list[Stored], place: int) -> dict[str, list[Stored]]:
    """Return a role's mail (place 3) or letters (place 5), by the key that its state is kept by."""
    found: dict[str, list[Stored]] = {}
    for stored in messages:
        if stored.subject.split(".")[place] == name:
            found.setdefault(key_of(name, stored.subject), []).append(stored)
    return found


def compare(decider: Role[Any], messages: list[Stored]) -> int:
    """Fold a role's recorded mail again and compare every letter; returns how many there were.

    Raises:
        DecisionChanged: this code decides otherwise than was recorded.
    """
    compared = 0
    letters = by_key(decider.name, messages, 5)
    for key, mail in by_key(decider.name, messages, 3).items():
        own = [stored for stored in letters.get(key, []) if "coo-at" in stored.headers]
        earlier, fold = Earlier(decider.name, key, own, 2**63), Fold[Any](TABLE, decider)
        compared += len(own)
        for stored in mail:
            earlier.compare(fold.apply(stored))
    return compared


def test_there_is_a_recording_by_the_present_versions() -> None:
    present = {name: role(name).version for name in ROLES}
    assert present in [read_log(log)[0].versions for log in LOGS], (
        "a version was raised: record anew with `python tests/recordings/record.py <next number>` "
        "and keep the older recordings"
    )


@recorded
@pytest.mark.parametrize("name", ROLES)
def test_no_decision_has_changed_without_a_raised_version(log: Path, name: str) -> None:
    header, streams = read_log(log)
    if header.versions[name] != role(name).version:
        pytest.skip(f"recorded by version {header.versions[name]} of {name}")
    assert compare(role(name), streams[MAIL_STREAM]) > 0


def changed(decider: Role[Any], kind: str) -> Role[Any]:
    """Return the same role but for one decision: what it sends last on one kind of mail it does not send."""

    def handle(state: Any, mail: Mail) -> Step:
        step = decider.handle(state, mail)
        return Step(step.state, step.letters[:-1], step.forget) if mail.kind == kind else step

    return replace(decider, handle=handle)


def kinds_answered(name: str, messages: list[Stored]) -> set[str]:
    """Return the kinds of mail that a role has answered with anything."""
    causes = {
        int(stored.headers["coo-at"])
        for stored in messages
        if stored.subject.split(".")[5] == name and "coo-at" in stored.headers
    }
    return {stored.subject.split(".")[4] for stored in messages if stored.seq in causes}


@pytest.mark.parametrize("name", ROLES)
def test_a_changed_decision_on_any_recorded_kind_of_mail_is_caught(name: str) -> None:
    messages = read_log(LOGS[-1])[1][MAIL_STREAM]
    kinds = kinds_answered(name, messages)
    assert kinds
    for kind in kinds:
        with pytest.raises(DecisionChanged):
            compare(changed(role(name), kind), messages)


@recorded
@pytest.mark.parametrize("name", ROLES)
def test_a_fold_goes_on_from_its_checkpoint_as_if_it_had_not_stopped(log: Path, name: str) -> None:
    for mail in by_key(name, read_log(log)[1][MAIL_STREAM], 3).values():
        whole, fold = Fold[Any](TABLE, role(name)), Fold[Any](TABLE, role(name))
        for stored in mail:
            assert fold.apply(stored).letters == whole.apply(stored).letters
            snapshot = fold.snapshot()
            assert snapshot == whole.snapshot()
            fold = Fold[Any](TABLE, role(name))
            fold.restore(Checkpoint(version=role(name).version, position=stored.seq), snapshot)


def kept(before: Any, now: Any) -> bool:
    """Say whether a state has every field that it had, with its value."""
    if isinstance(before, dict):
        return isinstance(now, dict) and all(name in now and kept(before[name], now[name]) for name in before)
    if isinstance(before, list):
        return isinstance(now, list) and len(before) == len(now) and all(map(kept, before, now))
    return bool(before == now)


def checkpoints_in(messages: list[Stored]) -> Iterator[tuple[str, Checkpoint]]:
    for stored in messages:
        _, _, _, to, kind, _ = stored.subject.split(".")
        if kind == "checkpoint" and to in ROLES:
            yield to, msgspec.json.decode(stored.body, type=Checkpoint)


@recorded
def test_a_recorded_state_is_read_without_losing_a_field(log: Path) -> None:
    found = list(checkpoints_in(read_log(log)[1][MAIL_STREAM]))
    assert found
    for name, checkpoint in found:
        assert checkpoint.blob is None
        fold = Fold[Any](TABLE, role(name))
        fold.restore(checkpoint, bytes(checkpoint.fold))
        assert kept(msgspec.json.decode(checkpoint.fold), msgspec.json.decode(fold.snapshot()))


@recorded
def test_every_recorded_message_is_still_mail(log: Path) -> None:
    for stored in read_log(log)[1][MAIL_STREAM]:
        try:
            open_mail(TABLE, stored, stored.time_ns)
        except BadMail as error:
            pytest.fail(f"message {stored.seq}, {stored.subject}: {error}")


# -- what was in flight ---------------------------------------------------------------------------------


@pytest.fixture(params=["memory", "jetstream"])
async def connect(request: pytest.FixtureRequest, log: Path, tmp_path: Path) -> AsyncIterator[Connect]:
    """The recorded log on a carrier."""
    async with AsyncExitStack() as stack:
        if request.param == "memory":
            yield await stack.enter_async_context(on_memory(log))
        else:
            store = log.with_name(log.name.replace(".log.gz", ".store.tar.xz"))
            yield (await stack.enter_async_context(on_server(tmp_path, store))).connect


async def lift_limits(company: Company) -> None:
    """Let the day have money again, before anybody asks for some."""
    await company.start([])
    limits = m.Limits(day_microusd=10**8, month_microusd=10**9, mission_microusd=10**6)
    await company.say("budget", COMPANY, limits, "limits-now")


async def go_on(company: Company) -> None:
    """Say what the missions were waiting for."""
    for mission in ("release", "raise"):
        status = await company.status(mission)
        assert status is not None
        assert status.asks
        decision = m.Decision(digest=status.asks, verdict="approve")
        await company.say("approval", mission, decision, f"approve-{mission}")
    more = m.Decision(digest="mine", verdict="approve", raise_microusd=10**6)
    await company.say("approval", "raise", more, "more")
    await company.say("coo", "paused", m.Control(action="resume"), "resume")


async def check(company: Company, roles: dict[str, Role[Any]]) -> None:
    """Check that every letter, every checkpoint and every entry of the ledger is what the code decides."""
    log = await company.log()
    contents: dict[Any, bytes] = {}
    for _, checkpoint in checkpoints_in(log):
        if checkpoint.blob is not None:
            contents[checkpoint.blob] = await blobs.get(company.ceo, checkpoint.blob)
    report = verify(
        log, TABLE, {name: roles.get(name) or role(name) for name in ROLES}, contents.__getitem__, PERFORMERS
    )
    assert report.findings == ()
    guard = roles.get("budget") or role("budget")
    assert prove(await read_letters(company.ceo), guard).violations == []


@recorded
@pytest.mark.parametrize("roles", [{}, RAISED], ids=["this-version", "raised-version"])
async def test_missions_in_flight_are_finished(
    connect: Connect, log: Path, roles: dict[str, Role[Any]]
) -> None:
    company = Company(connect, roles)
    await lift_limits(company)
    await company.start()
    try:
        await go_on(company)
        wanted = await company.until("done", "completed")
        ended = await asyncio.gather(*(company.until(name, "completed") for name in IN_FLIGHT))
    finally:
        await company.drain()
    assert [status.deliverable for status in ended] == [wanted.deliverable] * len(IN_FLIGHT)
    await check(company, roles)
    if roles:
        written = {
            (one.subject.split(".")[5], one.headers["coo-version"])
            for one in await company.log()
            if one.subject.split(".")[5] in ROLES and "coo-version" in one.headers
        }
        assert {(name, str(raised.version)) for name, raised in RAISED.items()} <= written


OLD_EXAMS = RECORDINGS / "3" / "drained.log.gz"
"""Recorded by a QA whose decisions stand and are not decided again: it had its model write one program."""


REWORK_BEGINS = 39
"""The sequence at which its work was sent back."""


def moments_of_qa() -> list[int]:
    """Return the sequences of all that the first mission's QA got and sent."""
    mail = read_log(OLD_EXAMS)[1][MAIL_STREAM]
    places = {one.seq: one.subject.split(".") for one in mail}
    qa = [
        seq
        for seq, (_, _, mission, to, kind, sender) in places.items()
        if mission == "done" and "qa" in (to, sender) and kind not in ("checkpoint", "close")
    ]
    assert len(qa) > 20
    return qa


@pytest.mark.parametrize("seq", moments_of_qa())
async def test_what_an_older_qa_was_in_the_middle_of_is_finished(seq: int) -> None:
    async with on_memory(OLD_EXAMS, seq) as connect:
        company = Company(connect)
        await company.start()
        try:
            status = await company.until("done", "completed", "failed")
        finally:
            await company.drain()
        if status.state == "failed":  # it asked for an exam of the rework, which the script does not have
            assert seq >= REWORK_BEGINS
            assert "no_script: wordcount has no exam for task 1, rework 1, round 0" in status.reason
        await check(company, {})


# -- what a new version may not do ------------------------------------------------------------------------

KILLED = [log for log in LOGS if log.name.startswith("killed")][-1:]


@pytest.mark.parametrize("log", KILLED, ids=name_of)
@pytest.mark.parametrize(("name", "kind"), [("engineer", "reply"), ("coo", "result")])
async def test_a_mission_whose_old_mail_is_decided_otherwise_stops_and_names_the_message(
    connect: Connect, log: Path, name: str, kind: str
) -> None:
    other = changed(RAISED[name], kind)
    company = Company(connect, {**RAISED, name: other})
    await lift_limits(company)
    await company.start()
    try:
        await go_on(company)
        told = await stopped(company, name)
    finally:
        await company.drain()
    assert f"{name} decides differently from the log" in told["reason"]
    by_name = [one for one in await company.log() if one.subject.endswith(f".{name}")]
    there = [one for one in by_name if one.subject.startswith(f"coo.m.{told['id']}.")]
    assert str(other.version) not in [one.headers.get("coo-version") for one in there]


async def stopped(company: Company, name: str) -> dict[str, Any]:
    """Wait until a role is stopped on a mission, and return what `coo show` tells of that."""
    async with asyncio.timeout(30):
        while True:
            for mission in IN_FLIGHT:
                record = (await read_record(company.ceo, mission)).told(company.ceo.now_ns())
                if record["status"] == "paused_error" and f"{name} decides" in record["reason"]:
                    return record
            await asyncio.sleep(0.05)


@pytest.mark.parametrize("log", KILLED, ids=name_of)
async def test_a_guard_that_decides_old_mail_otherwise_does_not_start(connect: Connect, log: Path) -> None:
    company = Company(connect, {"budget": changed(RAISED["budget"], "reserve")})
    await lift_limits(company)
    before = len(await company.log())
    await company.start(["budget"])
    with pytest.raises(DecisionChanged, match="budget decides differently from the log"):
        await asyncio.wait_for(company.running[0].task, 20)
    assert len(await company.log()) == before
