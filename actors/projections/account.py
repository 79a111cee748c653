"""What a mission has spent and holds, from the money letters in its own mail.

An independent ledger beside the guard's: it reads what was granted, sent, settled and given back, and comes
to the same figures without asking anybody. Time is the log's, so an old mission adds up as it did then.

    reserve + granted ──> held ──sent──> sent      at `expires_ns`: held is released,
                           └──── void ─────┘       sent is spent at the worst case, in doubt
    settle: spent, exactly; a late one corrects what was in doubt; what is not an amount is not booked, and
            what cannot be the bill leaves the hold in doubt
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from actors import messages as m
from actors.money import MOST_MICROUSD
from bus.envelope import Mail

_Fact = m.Sent | m.Settle | m.Void


class Balance(NamedTuple):
    """Micro-dollars: what was spent, how much of that is in doubt, and what is held for calls under way."""

    spent_microusd: int = 0
    in_doubt_microusd: int = 0
    held_microusd: int = 0


@dataclass
class _Hold:
    """What became of one attempt so far. `microusd` is held while open, and spent once it is over."""

    by: str = ""
    microusd: int = 0
    expires_ns: int = 0
    nonce: str = ""
    status: Literal["none", "refused", "held", "sent", "settled", "voided", "released", "in_doubt"] = "none"

    def expire(self, now_ns: int) -> None:
        if self.status in ("held", "sent") and self.expires_ns <= now_ns:
            self.status = "in_doubt" if self.status == "sent" else "released"

    def answer(self, by: str, answer: m.Granted | m.Refused) -> None:
        if self.status != "none":
            return
        self.by = by
        if isinstance(answer, m.Refused):
            self.status = "refused"
        else:
            self.microusd, self.expires_ns = answer.microusd, answer.expires_ns
            self.status = "held"

    def take(self, sender: str, fact: _Fact) -> None:
        """Take a fact into account; nobody's but the holder's own counts."""
        if self.status != "none" and sender != self.by:
            return
        match fact:
            case m.Sent() if self.status == "held":
                self.status, self.nonce = "sent", fact.nonce
            case m.Void() if self.status == "held" or (self.status == "sent" and fact.nonce == self.nonce):
                self.status = "voided"
            case m.Settle() if fact.doubt and self.status in ("held", "sent", "in_doubt"):
                self.status = "in_doubt"
            case m.Settle() if self.status != "settled" and 0 <= fact.microusd <= MOST_MICROUSD:
                self.by, self.microusd, self.status = sender, fact.microusd, "settled"


@dataclass
class _Attempt:
    facts: list[tuple[int, int, str, _Fact]] = field(default_factory=list)
    answer: tuple[int, str, m.Granted | m.Refused] | None = None

    def hold(self, at_ns: int) -> _Hold:
        """Replay the attempt in the guard's order: an answer counts from the mail on which it was decided."""
        hold = _Hold()
        decided, by, answer = self.answer or (0, "", None)
        for seq, now_ns, sender, fact in sorted(self.facts, key=lambda known: known[0]):
            if answer is not None and seq > decided:
                hold.answer(by, answer)
            hold.expire(now_ns)
            hold.take(sender, fact)
        if answer is not None:
            hold.answer(by, answer)
        hold.expire(at_ns)
        return hold


class Account:
    """The money of one mission. Add its mail in the order of the log."""

    def __init__(self) -> None:
        self._attempts: dict[str, _Attempt] = {}
        self.cap_microusd: int | None = None

    def add(self, mail: Mail, decided_at: int = 0) -> None:
        """Take one mail into account; what is not about money changes nothing.

        `decided_at` is the sequence of the mail that a letter of the guard's answers, 0 if it does not say.
        """
        match mail.message:
            case m.Granted() | m.Refused() as answer:
                self._answer(mail, decided_at or mail.seq, answer)
            case m.Raised(cap_microusd=cap, applied=True):
                self.cap_microusd = cap
            case m.Sent() | m.Settle() | m.Void() as fact:
                facts = self._attempts.setdefault(fact.attempt, _Attempt()).facts
                facts.append((mail.seq, mail.now_ns, mail.sender, fact))

    def _answer(self, mail: Mail, decided: int, answer: m.Granted | m.Refused) -> None:
        """Keep the first answer to an attempt; that its id was used twice is none."""
        if isinstance(answer, m.Refused) and answer.refusal.scope in ("id_conflict", "mission_not_open"):
            return
        attempt = self._attempts.setdefault(answer.attempt, _Attempt())
        if attempt.answer is None or decided < attempt.answer[0]:
            attempt.answer = (decided, mail.to, answer)

    def balance(self, at_ns: int) -> Balance:
        """Return what is spent and held at a time of the log, not before the newest mail that was added."""
        spent = in_doubt = held = 0
        for attempt in self._attempts.values():
            hold = attempt.hold(at_ns)
            if hold.status in ("settled", "in_doubt"):
                spent += hold.microusd
            if hold.status == "in_doubt":
                in_doubt += hold.microusd
            if hold.status in ("held", "sent"):
                held += hold.microusd
        return Balance(spent, in_doubt, held)
