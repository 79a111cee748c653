"""What a mission has spent and holds, from the money letters in its own mail.

An independent ledger beside the guard's: it reads what was granted, sent, settled and given back, and comes
to the same figures without asking anybody. Time is the log's, so an old mission adds up as it did then.

    reserve + granted ──> held ──sent──> sent      at `expires_ns`: held is released,
                           └──── void ─────┘       sent is spent at the worst case, in doubt
    settle: spent, exactly; a late one corrects what was in doubt
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from actors import messages as m
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
    status: Literal["none", "held", "sent", "settled", "voided", "released", "in_doubt"] = "none"

    def expire(self, now_ns: int) -> None:
        if self.status in ("held", "sent") and self.expires_ns <= now_ns:
            self.status = "in_doubt" if self.status == "sent" else "released"

    def grant(self, by: str, granted: m.Granted) -> None:
        if self.status == "none":
            self.by, self.microusd, self.expires_ns = by, granted.microusd, granted.expires_ns
            self.status = "held"

    def take(self, sender: str, fact: _Fact) -> None:
        """Take a fact into account; nobody's but the holder's own counts."""
        if self.status != "none" and sender != self.by:
            return
        match fact:
            case m.Sent() if self.status == "held":
                self.status = "sent"
            case m.Void() if self.status in ("held", "sent"):
                self.status = "voided"
            case m.Settle() if self.status != "settled":
                self.by, self.microusd, self.status = sender, max(0, fact.microusd), "settled"


@dataclass
class _Attempt:
    facts: list[tuple[int, int, str, _Fact]] = field(default_factory=list)
    grant: tuple[int, str, m.Granted] | None = None

    def hold(self, at_ns: int) -> _Hold:
        """Replay the attempt in the guard's order: a grant counts from the reserve that it answers."""
        hold = _Hold()
        grant_seq, by, granted = self.grant or (0, "", None)
        for seq, now_ns, sender, fact in sorted(self.facts, key=lambda known: known[0]):
            if granted is not None and seq > grant_seq:
                hold.grant(by, granted)
            hold.expire(now_ns)
            hold.take(sender, fact)
        if granted is not None:
            hold.grant(by, granted)
        hold.expire(at_ns)
        return hold


class Account:
    """The money of one mission. Add its mail in the order of the log."""

    def __init__(self) -> None:
        self._attempts: dict[str, _Attempt] = {}
        self._reserves: dict[str, int] = {}

    def add(self, mail: Mail) -> None:
        """Take one mail into account; what is not about money changes nothing."""
        match mail.message:
            case m.Reserve():
                self._reserves.setdefault(f"{mail.sender}/{mail.id}", mail.seq)
            case m.Granted() as granted:
                self._grant(mail, granted)
            case m.Sent() | m.Settle() | m.Void() as fact:
                facts = self._attempts.setdefault(fact.attempt, _Attempt()).facts
                facts.append((mail.seq, mail.now_ns, mail.sender, fact))

    def _grant(self, mail: Mail, granted: m.Granted) -> None:
        attempt = self._attempts.setdefault(granted.attempt, _Attempt())
        seq = self._reserves.get(mail.cause, mail.seq)
        if attempt.grant is None or seq < attempt.grant[0]:
            attempt.grant = (seq, mail.to, granted)

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
