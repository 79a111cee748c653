"""The guard against a small model that keeps a list of holds and adds it up anew for every question."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from guard_world import SECOND, GuardWorld
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from actors import messages as m
from actors.roles.budget.ledger import Account, period

MISSIONS = ("m-1", "m-2")
CAP, DAY, MONTH = 100, 150, 220
MARGIN, CALL_TOKENS, ROLE_TOKENS = 7, 40, {"model-qa": 90}

attempts = st.sampled_from(["a", "b", "c", "d", "e"])
missions = st.sampled_from(MISSIONS)
senders = st.sampled_from(["model-engineer", "model-qa"])
amounts = st.integers(0, 60)


@dataclass
class Line:
    """One attempt in the model. `posted` and `pending` are what it binds now, `took` its tokens.

    `aside` is what of `posted` is on its mission alone.
    """

    mission: str
    attempt: str
    by: str
    order: m.Reserve | None
    day: str = ""
    status: str = "waiting"
    until_ns: int = 0
    posted: int = 0
    pending: int = 0
    nonce: str = ""
    took: int = 0
    aside: int = 0


@dataclass
class Model:
    """The rules once more, written down as plainly as they can be said."""

    caps: dict[str, int] = field(default_factory=lambda: dict.fromkeys(MISSIONS, CAP))
    frozen: set[str] = field(default_factory=set)
    lines: list[Line] = field(default_factory=list)
    now_ns: int = 0

    def find(self, mission: str, attempt: str) -> Line | None:
        return next((x for x in self.lines if (x.mission, x.attempt) == (mission, attempt)), None)

    def sums(self, mission: str, day: str) -> list[tuple[int, int, int]]:
        """Return (limit, posted, pending) of the mission, the day and the month."""
        own = [x for x in self.lines if x.mission == mission]
        of_day = [x for x in self.lines if x.day == day]
        of_month = [x for x in self.lines if x.day[:7] == day[:7]]
        return [
            (self.limit(mission), sum(x.posted for x in own), sum(x.pending for x in own)),
            *(
                (limit, sum(x.posted - x.aside for x in xs), sum(x.pending for x in xs))
                for limit, xs in ((DAY, of_day), (MONTH, of_month))
            ),
        ]

    def limit(self, mission: str) -> int:
        return self.caps[mission] - -(-self.caps[mission] * MARGIN // 100)

    def claimed(self, ahead: list[Line]) -> int:
        """Return what those ahead count at day and month: no mission for more than it may still spend."""
        total = 0
        for mission in MISSIONS:
            left = self.limit(mission) - sum(x.posted for x in self.lines if x.mission == mission)
            total += min(sum(need_of(w) for w in ahead if w.mission == mission), max(0, left))
        return total

    def tokens(self, mission: str, by: str) -> tuple[int, int]:
        """Return the tokens that a holder has taken and those that are held for it."""
        lines = [x for x in self.lines if (x.mission, x.by) == (mission, by)]
        taken = sum(x.took for x in lines if x.status in ("settled", "in_doubt"))
        return taken, sum(x.took for x in lines if x.status in ("held", "sent"))

    def expire(self) -> None:
        for x in self.lines:
            if x.status in ("held", "sent") and x.until_ns <= self.now_ns:
                x.posted = x.pending if x.status == "sent" else 0
                x.took = x.took if x.status == "sent" else 0
                x.status, x.pending = ("in_doubt" if x.status == "sent" else "released"), 0

    def serve(self) -> None:
        """Go through those that wait, each behind what earlier ones of them need at each limit they share."""
        day = period(self.now_ns)[0]
        ahead: list[Line] = []
        for x in [x for x in self.lines if x.status == "waiting"]:
            assert x.order is not None
            need = x.order.floor or x.order.microusd
            sums = self.sums(x.mission, day)
            of_company = self.claimed(ahead)
            taken = [sum(need_of(w) for w in ahead if w.mission == x.mission), of_company, of_company]
            rooms = [lim - po - pe - t for (lim, po, pe), t in zip(sums, taken, strict=True)]
            bad = not 0 < need <= x.order.microusd or x.mission in self.frozen or x.order.tokens > CALL_TOKENS
            posted, pending = self.tokens(x.mission, x.by)
            cap, wanted = ROLE_TOKENS.get(x.by, 10**9), x.order.tokens
            asked = sum(w.order.tokens for w in ahead if w.order and (w.mission, w.by) == (x.mission, x.by))
            if bad or any(need > limit - po for limit, po, _ in sums) or wanted > cap - posted:
                x.status = "refused"
            elif need <= min(rooms) and wanted <= cap - posted - pending - asked:
                x.pending, x.status, x.day = min(x.order.microusd, *rooms), "held", day
                x.took = wanted
                x.until_ns = self.now_ns + x.order.timeout_s * SECOND
            elif self.now_ns >= x.until_ns:
                x.status = "refused"
            else:
                ahead.append(x)


def need_of(line: Line) -> int:
    assert line.order is not None
    return line.order.floor or line.order.microusd


class GuardMachine(RuleBasedStateMachine):
    """Every command in every order, with time passing, through the guard and through the model."""

    def __init__(self) -> None:
        super().__init__()
        self.guard = GuardWorld().limits(DAY, MONTH, call_tokens=CALL_TOKENS)
        for mission in MISSIONS:
            self.guard.open(CAP, mission, margin_percent=MARGIN, role_tokens=ROLE_TOKENS)
        self.model = Model(now_ns=self.guard.now_ns)

    def say(self, message: Any, mission: str, sender: str = "") -> None:
        self.model.now_ns = max(self.model.now_ns, self.guard.now_ns)
        self.model.expire()
        self.guard.write(message, mission, sender)

    @rule(
        mission=missions,
        name=attempts,
        by=senders,
        asked=amounts,
        floor=amounts,
        wait=st.sampled_from([0, 9]),
        tokens=st.sampled_from([5, 30, 41]),
    )
    def reserve(
        self, mission: str, name: str, by: str, asked: int, floor: int, wait: int, tokens: int
    ) -> None:
        order = m.Reserve(attempt=name, microusd=asked, timeout_s=8, floor=floor, wait_s=wait, tokens=tokens)
        self.say(order, mission, by)
        if self.model.find(mission, name) is None:
            until_ns = self.model.now_ns + wait * SECOND
            self.model.lines.append(Line(mission, name, by, order, until_ns=until_ns))
        self.model.serve()

    @rule(mission=missions, name=attempts, by=senders, nonce=st.sampled_from("xy"))
    def sent(self, mission: str, name: str, by: str, nonce: str) -> None:
        self.say(m.Sent(attempt=name, nonce=nonce, microusd=1), mission, by)
        line = self.model.find(mission, name)
        if line and line.by == by and line.status == "held":
            line.status, line.nonce = "sent", nonce
        self.model.serve()

    @rule(
        mission=missions,
        name=attempts,
        by=senders,
        cost=amounts,
        took=st.sampled_from([1, 50]),
        doubt=st.sampled_from(["", "no tokens"]),
    )
    def settle(self, mission: str, name: str, by: str, cost: int, took: int, doubt: str) -> None:
        self.say(m.Settle(attempt=name, microusd=cost, input_tokens=took, doubt=doubt), mission, by)
        line = self.model.find(mission, name)
        held = 0
        if line is None or line.status == "waiting":
            day = period(self.model.now_ns)[0]
            self.model.frozen.add(mission)
            if line is None:
                line = Line(mission, name, by, None, day, "settled", posted=cost, took=took, aside=cost)
                self.model.lines.append(line)
            else:  # it was not granted yet: what was billed is booked, and the queue is no way to get more
                line.status, line.posted, line.day, line.by = "settled", cost, day, by
                line.took, line.aside = took, cost
        elif line.by != by:
            self.model.frozen.add(mission)
        elif line.status != "settled":
            held = line.pending or (line.posted if line.status == "in_doubt" else 0)
            if cost > held or line.status in ("voided", "released", "refused"):
                self.model.frozen.add(mission)
            if doubt and held:
                line.status, line.posted, line.pending = "in_doubt", held, 0
                self.model.serve()
                return
            line.aside = max(0, cost - held)
            line.day = line.day if held else period(self.model.now_ns)[0]
            line.status, line.posted, line.pending, line.took = "settled", cost, 0, took
        self.model.serve()

    @rule(mission=missions, name=attempts, by=senders, nonce=st.sampled_from(["", "x"]))
    def void(self, mission: str, name: str, by: str, nonce: str) -> None:
        self.say(m.Void(attempt=name, proof="not_sent", nonce=nonce), mission, by)
        line = self.model.find(mission, name)
        if line and line.by == by:
            if line.status == "waiting":
                self.model.lines.remove(line)
            elif line.status == "held" or (line.status == "sent" and line.nonce == nonce):
                line.status, line.pending, line.took = "voided", 0, 0
        self.model.serve()

    @rule(mission=missions, more=st.integers(1, 30))
    def raise_cap(self, mission: str, more: int) -> None:
        self.say(m.Raise(digest=str(self.guard.ids), microusd=more, asked=False), mission)
        self.model.caps[mission] += more
        self.model.frozen.discard(mission)
        own = [x for x in self.model.lines if x.mission == mission]
        if sum(x.posted for x in own) <= self.model.caps[mission]:
            for x in own:
                x.aside = 0
        self.model.serve()

    @rule(seconds=st.sampled_from([1, 3, 8, -5, 43_200]))
    def time_passes(self, seconds: int) -> None:
        self.guard.later(seconds)
        self.say(m.Tick(name="expiry", at_ns=0), "company")
        self.model.serve()

    @invariant()
    def every_balance_is_that_of_the_model(self) -> None:
        ledger = self.guard.ledger
        for name in MISSIONS:
            lines = [x for x in self.model.lines if x.mission == name]
            account = ledger.missions[name].account
            assert account.posted == sum(x.posted for x in lines)
            assert account.pending == sum(x.pending for x in lines)
            for by in ("model-engineer", "model-qa"):
                tokens = ledger.missions[name].tokens.get(by, Account())
                assert (tokens.posted, tokens.pending) == self.model.tokens(name, by)
            assert ledger.missions[name].in_doubt == sum(x.posted for x in lines if x.status == "in_doubt")
        for day, account in ledger.days.items():
            assert account.posted == sum(x.posted - x.aside for x in self.model.lines if x.day == day)
            assert account.pending == sum(x.pending for x in self.model.lines if x.day == day)
        waiting = [x.attempt for x in self.model.lines if x.status == "waiting"]
        assert [w.order.attempt for w in ledger.waiting] == waiting

    def teardown(self) -> None:
        assert self.guard.proof().violations == []


GuardMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=40)
test_the_guard_is_its_model = GuardMachine.TestCase
