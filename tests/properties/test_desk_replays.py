"""A query of dead letters: found before the first is sent, and more than a few are asked about."""

from __future__ import annotations

import os
import pty
import sys

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from actors.cli.replays import ASKS_ABOVE, Wanted, _agreed_to_many, _plan, _send
from actors.errors import UserError
from actors.table import TABLE
from bus import deadletters
from bus.envelope import Outgoing, base_headers
from bus.fold import DeadLetter
from bus.memory import MemoryCarrier, MemoryServer
from bus.ports import PubAck
from bus.server.topology import topology
from bus.subjects import DLQ_STREAM, MAIL_STREAM

DEAD = DeadLetter("raised", "it raises", "")


def wanted(limit: int | None, again: bool) -> Wanted:
    return Wanted(
        seq=None,
        mailbox="approval",
        mission=None,
        reason=None,
        since_s=None,
        body=None,
        dry_run=False,
        again=again,
        yes=True,
        rate=1e9,
        limit=limit,
        as_json=True,
    )


class StillFailing:
    """A carrier beside which the addressee lives: whatever is sent to it becomes a dead letter at once."""

    def __init__(self, carrier: MemoryCarrier) -> None:
        self._carrier = carrier
        self.sent = 0

    def __getattr__(self, name: str) -> object:
        return getattr(self._carrier, name)

    async def publish(self, message: Outgoing) -> PubAck:
        ack = await self._carrier.publish(message)
        if message.subject.startswith("coo.m."):
            self.sent += 1
            stored = await self._carrier.get(MAIL_STREAM, ack.seq)
            assert stored is not None
            await self._carrier.publish(deadletters.copy_of("approval", stored, DEAD))
        return ack


@settings(suppress_health_check=[HealthCheck.too_slow], max_examples=30)
@given(
    count=st.integers(0, 30),
    limit=st.none() | st.integers(1, 40),
    rounds=st.integers(1, 3),
    again=st.booleans(),
)
async def test_a_query_never_sends_more_than_was_dead_before_it(
    count: int, limit: int | None, rounds: int, again: bool
) -> None:
    carrier = StillFailing(MemoryServer(topology(TABLE)).connect())
    for n in range(count):
        headers = base_headers(f"id-{n}", "ceo", "decision", 0)
        await carrier.publish(Outgoing(f"coo.m.m-{n}.approval.decision.ceo", headers, b"[]"))
    for _ in range(rounds):
        dead = len(await carrier.read(DLQ_STREAM, "coo.dlq.>", 1))
        before = carrier.sent
        plan = await _plan(carrier, wanted(limit, again))
        done = await _send(carrier, wanted(limit, again), plan)
        assert carrier.sent - before == done <= min(dead, limit or dead)


def test_a_few_are_not_asked_about_and_many_only_where_somebody_can_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with open(os.devnull) as nobody:
        monkeypatch.setattr(sys, "stdin", nobody)
        assert _agreed_to_many(ASKS_ABOVE, yes=False)
        assert _agreed_to_many(ASKS_ABOVE + 1, yes=True)
        with pytest.raises(UserError, match="21 dead letters match"):
            _agreed_to_many(ASKS_ABOVE + 1, yes=False)


@pytest.mark.parametrize(
    ("typed", "agreed"), [(b"y\n", True), (b"n\n", False), (b"\n", False), (b"\x04", False)]
)
def test_on_a_terminal_somebody_is_asked(
    typed: bytes, agreed: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ours, theirs = pty.openpty()
    with open(theirs) as terminal:
        monkeypatch.setattr(sys, "stdin", terminal)
        os.write(ours, typed)
        assert _agreed_to_many(ASKS_ABOVE + 1, yes=False) is agreed
    os.close(ours)
    assert "Replay 21 dead letters?" in capsys.readouterr().err
