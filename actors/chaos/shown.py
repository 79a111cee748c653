"""What the log of a company in memory shows while it is played, and what it came to."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from actors import messages as m
from actors.chaos.whole import mail_in
from actors.table import TABLE, TOLD_OF_THE_END
from bus.envelope import Stored, readable
from bus.memory import MemoryServer
from bus.subjects import parts_of

LOOKED_FOR = frozenset({"status", "close", "granted", "sent", "settle", "reply", "error"})


class Failed(Exception):
    """A run did not hold what the company promises."""


@dataclass
class Ending:
    """What a run came to: comparable between runs."""

    state: str
    deliverable: dict[str, str]
    settled_microusd: int
    late_microusd: int
    doubtful_microusd: int
    steps: dict[str, int] = field(default_factory=dict)
    crashes: int = 0
    replaced: int = 0
    messages: int = 0
    by_the_ceo: bool = False


class Shown:
    """A company's log, read as it grows. `bad_bills` are the sequences of bills of no amount."""

    def __init__(self, server: MemoryServer) -> None:
        self.server = server
        self.bad_bills: set[int] = set()
        self._looked_at = 0
        self._mail: dict[str, list[tuple[Stored, Any]]] = {}

    def mail(self, kind: str) -> list[tuple[Stored, Any]]:
        """Return every message of one kind, decoded, in the order of the log."""
        news = mail_in(self.server, self._looked_at)
        for stored in news:
            name = parts_of(stored.subject).kind
            if name in LOOKED_FOR and (mail := readable(TABLE, stored)) is not None:
                self._mail.setdefault(name, []).append((stored, mail.message))
        self._looked_at += len(news)
        return self._mail.get(kind, [])

    def _status(self) -> tuple[Stored, m.Status] | None:
        return max(self.mail("status"), key=lambda found: found[1].at, default=None)

    def state(self) -> m.Status | None:
        found = self._status()
        return found[1] if found else None

    def is_at_rest(self) -> bool:
        """Say whether the mission is over, all are told, all holds resolved and all bad bills put aside."""
        status = self.state()
        told = {parts_of(stored.subject).to for stored, _ in self.mail("close")}
        if status is None or status.state not in m.FINAL or told != set(TOLD_OF_THE_END):
            return False
        dead = self.server.stream("COO_DLQ").messages
        if len({stored.headers.get("coo-dlq-seq") for stored in dead}) < len(self.bad_bills):
            return False
        now_ns = self.server.clock()
        return all(granted.expires_ns < now_ns for _, granted in self.mail("granted"))

    def _settled_late(self) -> set[str]:
        """Return settled attempts beyond the first of each call: all but one were in doubt before.

        Raises:
            Failed: a call was made twice although the first one was settled within its hold's time.
        """
        expiry = {fact.attempt: fact.expires_ns for _, fact in self.mail("granted")}
        first: dict[str, tuple[Stored, str]] = {}
        late = set()
        for stored, fact in self.mail("settle"):
            if stored.seq in self.bad_bills:
                continue
            call = fact.attempt.rpartition(".")[0]
            before, attempt = first.setdefault(call, (stored, fact.attempt))
            if attempt == fact.attempt:
                continue
            if before.time_ns < expiry[attempt] and stored.time_ns < expiry[fact.attempt]:
                raise Failed(f"call {call} was paid for twice, at {before.seq} and {stored.seq}")
            late.add(fact.attempt)
        return late

    def _dropped(self) -> set[str]:
        """Return the calls that a pause has ended: what they cost is paid for, and they are made again."""
        replies = self.mail("reply")
        causes = [s.headers["coo-cause"] for s, reply in replies if reply.status == "dropped"]
        return {cause.partition("/")[2] for cause in causes}

    def ending(self) -> Ending:
        """Return what the mission came to. Call it when it is over."""
        status = self.state()
        assert status is not None
        dropped = self._dropped()
        bills = [fact for stored, fact in self.mail("settle") if stored.seq not in self.bad_bills]
        bills = [fact for fact in bills if fact.attempt.rpartition(".")[0] not in dropped]
        settled = {fact.attempt: fact.microusd for fact in bills}
        held = {fact.attempt: fact.microusd for _, fact in self.mail("granted")}
        sent = {fact.attempt for _, fact in self.mail("sent")}
        late = self._settled_late()
        return Ending(
            state=status.state,
            deliverable={path: ref.digest for path, ref in status.deliverable.items()},
            settled_microusd=sum(cost for attempt, cost in settled.items() if attempt not in late),
            late_microusd=sum(settled[attempt] for attempt in late),
            doubtful_microusd=sum(held[attempt] for attempt in sent - settled.keys()),
            messages=len(self.server.stream("COO").messages),
        )
