"""A guard alone with its mail: tests write letters at a time of their own and look at what it decides."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import msgspec

from actors import messages as m
from actors.projections.audit import Proof, prove
from actors.projections.guard import Letters
from actors.roles.budget.ledger import Account, Hold, Ledger, MissionAccount, period
from actors.roles.budget.role import ROLE
from actors.table import TABLE
from bus.envelope import Cause, Stored, open_mail, seal
from bus.fold import Decision, Fold

SECOND = 1_000_000_000
START = 1_790_000_000 * SECOND
MODEL = "model-engineer"


@dataclass
class GuardWorld:
    """The log of the guard's mail, and everything that it answered."""

    now_ns: int = START
    fold: Fold[Ledger] = field(default_factory=lambda: Fold(TABLE, ROLE))
    log: list[Stored] = field(default_factory=list)
    answers: list[tuple[str, str, Any]] = field(default_factory=list)
    decided: dict[int, list[Stored]] = field(default_factory=dict)
    ids: int = 0

    def write(
        self, message: msgspec.Struct, mission: str = "m-1", sender: str = "", id: str = ""
    ) -> list[Any]:
        """Log a letter, let the guard decide it, and return what it answers, without wakes."""
        decision = self.apply(message, mission, sender, id)
        assert decision.dead is None, decision.dead
        return self.log_answers(decision)

    def apply(
        self, message: msgspec.Struct, mission: str = "m-1", sender: str = "", id: str = ""
    ) -> Decision:
        self.ids += 1
        sender = sender or _SENDERS.get(type(message), MODEL)
        cause = Cause("ceo", id or str(self.ids), 0, START, "")
        where = "company" if isinstance(message, m.Limits | m.Tick) else mission
        letter = seal(
            TABLE, sender=sender, version=1, to="budget", mission=where, message=message, cause=cause
        )
        stored = Stored(len(self.log) + 1, self.now_ns, letter.subject, letter.headers, letter.body)
        self.log.append(stored)
        return self.fold.apply(stored)

    def log_answers(self, decision: Decision) -> list[Any]:
        said = []
        for letter in decision.letters:
            stored = Stored(
                10**9 + len(self.answers), self.now_ns, letter.subject, letter.headers, letter.body
            )
            mail = open_mail(TABLE, stored, self.now_ns)
            if not isinstance(mail.message, m.Wake):
                said.append(mail.message)
                self.answers.append((mail.mission, mail.to, mail.message))
                self.decided.setdefault(decision.stored.seq, []).append(stored)
        return said

    # -- what is written ----------------------------------------------------------------------------------

    def limits(self, day: int = 10**9, month: int = 10**9, **more: Any) -> GuardWorld:
        self.write(m.Limits(day_microusd=day, month_microusd=month, mission_microusd=1, **more))
        return self

    def open(self, cap: int, mission: str = "m-1", **more: Any) -> GuardWorld:
        self.write(m.Open(cap_microusd=cap, **more), mission)
        return self

    def reserve(self, attempt: str, microusd: int, mission: str = "m-1", **more: Any) -> list[Any]:
        order = m.Reserve(attempt=attempt, microusd=microusd, timeout_s=more.pop("timeout_s", 10), **more)
        return self.write(order, mission)

    def sent(self, attempt: str, mission: str = "m-1", nonce: str = "n") -> list[Any]:
        return self.write(m.Sent(attempt=attempt, nonce=nonce, microusd=0), mission)

    def settle(
        self, attempt: str, microusd: int, mission: str = "m-1", sender: str = MODEL, tokens: int = 0
    ) -> list[Any]:
        bill = m.Settle(attempt=attempt, microusd=microusd, input_tokens=tokens)
        return self.write(bill, mission, sender)

    def tick(self) -> list[Any]:
        return self.write(m.Tick(name="expiry", at_ns=self.now_ns))

    def later(self, seconds: int) -> GuardWorld:
        self.now_ns += seconds * SECOND
        return self

    # -- what is seen -------------------------------------------------------------------------------------

    @property
    def ledger(self) -> Ledger:
        return self.fold.state

    def mission(self, name: str = "m-1") -> MissionAccount:
        return self.ledger.missions[name]

    def hold(self, attempt: str, mission: str = "m-1") -> Hold:
        return self.mission(mission).holds[attempt]

    def balances(self) -> tuple[Account, Account, Account]:
        day, month = period(self.now_ns)
        return self.mission().account, self.ledger.days[day], self.ledger.months[month]

    def proof(self) -> Proof:
        """Audit everything so far."""
        return prove(Letters(self.log, self.decided))


_SENDERS: dict[type, str] = {
    m.Limits: "ceo",
    m.Open: "coo",
    m.Park: "coo",
    m.Close: "coo",
    m.Raise: "approval",
    m.Tick: "clock",
}


def world(cap: int = 100, day: int = 10**9, month: int = 10**9) -> GuardWorld:
    """Return a guard with limits and one open mission."""
    return GuardWorld().limits(day, month).open(cap)


def granted(answers: list[Any]) -> int:
    """Return what was granted, and nothing else was answered."""
    (answer,) = answers
    assert isinstance(answer, m.Granted), answer
    return answer.microusd


def refused(answers: list[Any]) -> tuple[str, int, int]:
    """Return scope, needed and remaining of the one refusal that was answered."""
    (answer,) = answers
    assert isinstance(answer, m.Refused), answer
    return answer.refusal.scope, answer.refusal.needed_microusd, answer.refusal.remaining_microusd
