"""The company's money, recomputed from the log alone: every entry, every balance, at every prefix.

An independent ledger beside the guard's. It takes what was granted from the guard's letters, at the place
in the log where each was decided, and everything else from the mail that the guard had; the guard's own
arithmetic is used nowhere.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Literal

from actors import messages as m
from actors.days import day_of
from actors.money import MOST_MICROUSD
from actors.projections.balances import Balance, Entry, Hold
from actors.projections.plausible import implausible
from bus.envelope import Mail

_MOST_TOKENS = 10**12


@dataclass
class Books:
    """Balances by account (`mission:…`, `day:…`, `month:…`), holds by (mission, attempt), and what is wrong.

    `tokens` are balances in tokens, by mission and holder. `implausible` are bills that cannot be what was
    sent and received. Mail up to `full_until` was decided by versions of the guard below 4, which moved day
    and month by every bill in full.
    """

    accounts: dict[str, Balance] = field(default_factory=lambda: defaultdict(Balance))
    holds: dict[tuple[str, str], Hold] = field(default_factory=dict)
    entries: list[Entry] = field(default_factory=list)
    limits: m.Limits | None = None
    violations: list[str] = field(default_factory=list)
    overruns: list[str] = field(default_factory=list)
    implausible: list[str] = field(default_factory=list)
    full_until: int = 0
    waiting: dict[tuple[str, str], m.Reserve] = field(default_factory=dict)
    tokens: dict[tuple[str, str], Balance] = field(default_factory=lambda: defaultdict(Balance))
    latest_ns: int = 0
    _open: dict[tuple[str, str], Hold] = field(default_factory=dict)
    _refused: dict[tuple[str, str], str] = field(default_factory=dict)
    _raise: m.Raise | None = None
    _margins: dict[str, int] = field(default_factory=dict)
    _ending: set[str] = field(default_factory=set)
    _seq: int = 0
    _blamed: int = 0
    _time_ns: int = 0

    def take(self, mail: Mail) -> None:
        """Take in the next mail that the guard had."""
        self._seq, self._blamed, self._time_ns = mail.seq, 0, mail.now_ns
        self._expire(mail.now_ns)
        match mail.message:
            case m.Limits() as limits:
                self.limits = limits
            case m.Open() as order if self.accounts[f"mission:{mail.mission}"].limit is None:
                self._open_mission(mail.mission, order)
            case m.Raise() as order:
                self._raise = order
            case m.Reserve(attempt=attempt) as order:
                if (mail.mission, attempt) not in self.holds and (mail.mission, attempt) not in self._refused:
                    self.waiting.setdefault((mail.mission, attempt), order)
            case m.Sent(attempt=attempt, nonce=nonce):
                self._sent(mail, attempt, nonce)
            case m.Settle() as bill:
                self._settle(mail, bill)
            case m.Void() as void:
                self._void(mail, void)
            case m.Close() if f"mission:{mail.mission}" in self.accounts:
                self._ending.add(mail.mission)

    def turn_away(self, mail: Mail, why: str) -> None:
        """Name the bill that the guard raised on, if this is one: nothing of it is booked."""
        self._seq, self._time_ns = mail.seq, mail.now_ns
        if isinstance(bill := mail.message, m.Settle):
            known = self._not_booked(mail, bill)
            self._overrun(f"{bill.attempt} was billed {bill.microusd}{known or f', not booked: {why}'}")

    def answer(self, mission: str, to: str, message: object, letter: int = 0) -> None:
        """Take in what the guard decided on the mail just taken; what is wrong then is said of `letter`."""
        self._blamed = letter
        match message:
            case m.Granted() as granted:
                self._grant(mission, to, granted)
            case m.Refused(attempt=attempt, refusal=refusal):
                if refusal.scope != "id_conflict":
                    self.waiting.pop((mission, attempt), None)
                    self._refused.setdefault((mission, attempt), to)
            case m.Raised(cap_microusd=cap, applied=True):
                self.accounts[f"mission:{mission}"].limit = cap
                self._raise_tokens(mission)
                self._accept(mission, cap)

    def _open_mission(self, mission: str, order: m.Open) -> None:
        account = self.accounts[f"mission:{mission}"]
        account.limit, self._margins[mission] = order.cap_microusd, order.margin_percent
        for holder, cap in order.role_tokens.items():
            self.tokens[mission, holder].limit = cap

    def _raise_tokens(self, mission: str) -> None:
        for role, more in (self._raise.tokens if self._raise else {}).items():
            account = self.tokens[mission, f"model-{role}"]
            account.limit = None if account.limit is None else account.limit + more

    # -- facts --------------------------------------------------------------------------------------------

    def _grant(self, mission: str, to: str, granted: m.Granted) -> None:
        key, amount = (mission, granted.attempt), granted.microusd
        order = self.waiting.pop(key, None)
        known = self.holds.get(key)
        if known is not None:
            if (known.by, known.held, known.expires_ns) != (to, amount, granted.expires_ns):
                self._wrong(f"{granted.attempt} was granted twice, differently (I4)")
            return
        if not 0 < amount <= MOST_MICROUSD:
            self._wrong(f"{granted.attempt} was granted {amount} (I14)")
        day = day_of(self._time_ns)
        hold = Hold(to, day, amount, amount, granted.expires_ns, order.tokens if order else 0)
        self.holds[key] = self._open[key] = hold
        self.tokens[mission, to].move(0, hold.tokens)
        self._book(key, hold, "held", 0, amount)
        self._check_limits(mission, day, granted.attempt)

    def _check_limits(self, mission: str, day: str, attempt: str) -> None:
        for name, limit, percent in self._limits(mission, day):
            account = self.accounts[name]
            account.bound(limit, percent)
            if limit is None or account.posted + account.pending > limit - account.kept:
                self._wrong(
                    f"the grant of {attempt} puts {name} at {account.posted + account.pending}, "
                    f"its limit is {limit}, less {account.kept} (I1)"
                )
        holder = self.holds[mission, attempt].by
        tokens = self.tokens[mission, holder]
        if tokens.limit is not None and tokens.posted + tokens.pending > tokens.limit:
            self._wrong(f"the grant of {attempt} puts {holder} above its {tokens.limit} tokens (I1)")

    def _limits(self, mission: str, day: str) -> tuple[tuple[str, int | None, int], ...]:
        limits = self.limits
        percent = limits.margin_percent if limits else 0
        return (
            (
                f"mission:{mission}",
                self.accounts[f"mission:{mission}"].limit,
                self._margins.get(mission, 0),
            ),
            (f"day:{day}", limits.day_microusd if limits else None, percent),
            (f"month:{day[:7]}", limits.month_microusd if limits else None, percent),
        )

    def _sent(self, mail: Mail, attempt: str, nonce: str) -> None:
        hold = self.holds.get((mail.mission, attempt))
        if hold is not None and hold.by == mail.sender and hold.status == "held":
            hold.status, hold.nonce = "sent", nonce

    def _settle(self, mail: Mail, bill: m.Settle) -> None:
        key, cost = (mail.mission, bill.attempt), bill.microusd
        hold = self.holds.get(key)
        if why := self._not_booked(mail, bill):
            self._overrun(f"{bill.attempt} was billed {cost}{why}")
            return
        if hold is None:
            hold = Hold(mail.sender, day_of(self._time_ns), 0, 0, 0, status="released")
            self.holds[key] = hold
        if hold.status == "settled":
            return
        if why := implausible(bill, hold.tokens):
            self.implausible.append(f"message {self._seq}: {bill.attempt} of {mail.mission}: {why}")
        covered = hold.held if hold.status in ("held", "sent", "in_doubt") else 0
        if bill.doubt and covered:
            self._in_doubt(key, hold)
        else:
            self._book_bill(key, hold, bill, covered)
        if cost > covered:
            rest = (
                f"; {hold.aside} of it count when the cap of {mail.mission} is raised" if hold.aside else ""
            )
            self._overrun(f"{bill.attempt} was billed {cost}, {covered} were held{rest}")

    def _overrun(self, what: str) -> None:
        self.overruns.append(f"message {self._seq}: {what}")

    def _not_booked(self, mail: Mail, bill: m.Settle) -> str:
        """Say why a bill is on no account; nothing if it is on one."""
        hold = self.holds.get(key := (mail.mission, bill.attempt))
        owner = hold.by if hold else self._refused.get(key, mail.sender)
        account = self.accounts.get(f"mission:{mail.mission}", Balance())
        if not 0 <= bill.microusd <= MOST_MICROUSD:
            return ", which is not an amount: not booked"
        if owner != mail.sender:
            return f" by {mail.sender}, which did not reserve it"
        if mail.mission in self._ending and not account.pending and not account.in_doubt:
            return f", but {mail.mission} is closed: not booked"
        return ""

    def _book_bill(self, key: tuple[str, str], hold: Hold, bill: m.Settle, covered: int) -> None:
        """Put a bill in the place of what its attempt was: on the mission in full, else up to its hold."""
        before, was, was_open = hold.now, hold.status, key in self._open
        self._open.pop(key, None)
        if was == "in_doubt":
            self._doubt(key, hold, -before)
        if was in ("voided", "released"):  # no hold covers it any more: it counts when it came
            hold.day = day_of(self._time_ns)
        hold.aside = max(0, bill.microusd - covered) if self._seq > self.full_until else 0
        took = min(max(0, bill.input_tokens) + max(0, bill.output_tokens), _MOST_TOKENS)
        bound, booked = hold.tokens if was_open else 0, hold.tokens if was == "in_doubt" else 0
        self.tokens[key[0], hold.by].move(took - booked, -bound)
        hold.status, hold.now, hold.tokens = "settled", bill.microusd, took
        posted = bill.microusd - (before if was == "in_doubt" else 0)
        what = "corrected" if was == "in_doubt" else "settled"
        self._book(key, hold, what, posted, -before if was_open else 0, hold.aside)

    def _accept(self, mission: str, cap: int) -> None:
        """Count on day and month what was set aside, where the new cap covers all that was billed."""
        if self.accounts[f"mission:{mission}"].posted > cap:
            return
        for key, hold in self.holds.items():
            if key[0] == mission and hold.aside:
                aside, hold.aside = hold.aside, 0
                self._book(key, hold, "accepted", 0, 0, -aside)

    def _void(self, mail: Mail, void: m.Void) -> None:
        key = (mail.mission, void.attempt)
        self.waiting.pop(key, None)
        hold = self._open.get(key)
        if hold is None or hold.by != mail.sender or (hold.status == "sent" and hold.nonce != void.nonce):
            return
        self._close(key, hold, "voided")

    def _expire(self, now_ns: int) -> None:
        for key, hold in [(key, hold) for key, hold in self._open.items() if hold.expires_ns <= now_ns]:
            self.latest_ns = max(self.latest_ns, now_ns - hold.expires_ns)
            if hold.status == "held":
                self._close(key, hold, "released")
                continue
            self._in_doubt(key, hold)

    def _in_doubt(self, key: tuple[str, str], hold: Hold) -> None:
        """Book an open hold in full, and mark it."""
        if self._open.pop(key, None) is None:
            return
        hold.status = "in_doubt"
        self._doubt(key, hold, hold.now)
        self.tokens[key[0], hold.by].move(hold.tokens, -hold.tokens)
        self._book(key, hold, "in_doubt", hold.now, -hold.now)

    def _close(self, key: tuple[str, str], hold: Hold, status: Literal["voided", "released"]) -> None:
        del self._open[key]
        held, hold.now, hold.status = hold.now, 0, status
        self.tokens[key[0], hold.by].move(0, -hold.tokens)
        hold.tokens = 0
        self._book(key, hold, status, 0, -held)

    # -- booking ------------------------------------------------------------------------------------------

    def _names(self, key: tuple[str, str], hold: Hold) -> tuple[str, str, str]:
        return f"mission:{key[0]}", f"day:{hold.day}", f"month:{hold.day[:7]}"

    def _book(
        self, key: tuple[str, str], hold: Hold, what: str, posted: int, pending: int, aside: int = 0
    ) -> None:
        mission, *company = self._names(key, hold)
        self.accounts[mission].move(posted, pending)
        for name in company:
            self.accounts[name].move(posted - aside, pending)
        self.entries.append(
            Entry(self._seq, self._time_ns, *key, hold.by, what, posted, pending, hold.day, aside)
        )

    def _doubt(self, key: tuple[str, str], hold: Hold, change: int) -> None:
        for name in self._names(key, hold):
            self.accounts[name].in_doubt += change

    def _wrong(self, what: str) -> None:
        self.violations.append(f"message {self._blamed or self._seq}: {what}")
