"""The company's money, recomputed from the log alone: every entry, every balance, at every prefix.

An independent ledger beside the guard's. It takes what was granted from the guard's letters, at the place
in the log where each was decided, and everything else from the mail that the guard had; the guard's own
arithmetic is used nowhere.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from actors import messages as m
from actors.desk.record import decided_at, pages
from actors.money import MOST_MICROUSD
from actors.table import TABLE
from bus import burials
from bus.envelope import Mail, Stored, open_mail, rfc3339
from bus.errors import BadMail
from bus.ports import Carrier
from bus.subjects import MAIL_STREAM

Status = Literal["held", "sent", "settled", "voided", "released", "in_doubt"]


class Entry(NamedTuple):
    """One line of the ledger: what moved for an attempt, and what it did to posted and pending."""

    seq: int
    time_ns: int
    mission: str
    attempt: str
    by: str
    what: str
    posted: int
    pending: int
    day: str


@dataclass
class Hold:
    """One attempt, as the log tells it. `held` is what was granted, `now` what it binds or cost."""

    by: str
    day: str
    held: int
    now: int
    expires_ns: int
    status: Status = "held"
    nonce: str = ""


@dataclass
class Balance:
    """Micro-dollars on one account, and the most that posted and pending ever were together."""

    posted: int = 0
    pending: int = 0
    in_doubt: int = 0
    peak: int = 0
    limit: int | None = None

    def move(self, posted: int, pending: int) -> None:
        self.posted += posted
        self.pending += pending
        self.peak = max(self.peak, self.posted + self.pending)


@dataclass
class Books:
    """Balances by account (`mission:…`, `day:…`, `month:…`), holds by (mission, attempt), and what is wrong.

    `excused` are accounts that a bill above its hold, or a lowered limit, has put above their limit.
    """

    accounts: dict[str, Balance] = field(default_factory=lambda: defaultdict(Balance))
    holds: dict[tuple[str, str], Hold] = field(default_factory=dict)
    entries: list[Entry] = field(default_factory=list)
    limits: m.Limits | None = None
    violations: list[str] = field(default_factory=list)
    overruns: list[str] = field(default_factory=list)
    waiting: dict[tuple[str, str], int] = field(default_factory=dict)
    latest_ns: int = 0
    _open: dict[tuple[str, str], Hold] = field(default_factory=dict)
    _refused: dict[tuple[str, str], str] = field(default_factory=dict)
    _seq: int = 0
    _time_ns: int = 0

    def take(self, mail: Mail) -> None:
        """Take in the next mail that the guard had."""
        self._seq, self._time_ns = mail.seq, mail.now_ns
        self._expire(mail.now_ns)
        match mail.message:
            case m.Limits() as limits:
                self.limits = limits
            case m.Open(cap_microusd=cap) if self.accounts[f"mission:{mail.mission}"].limit is None:
                self.accounts[f"mission:{mail.mission}"].limit = cap
            case m.Reserve(attempt=attempt, microusd=asked):
                if (mail.mission, attempt) not in self.holds and (mail.mission, attempt) not in self._refused:
                    self.waiting.setdefault((mail.mission, attempt), asked)
            case m.Sent(attempt=attempt, nonce=nonce):
                self._sent(mail, attempt, nonce)
            case m.Settle() as bill:
                self._settle(mail, bill)
            case m.Void() as void:
                self._void(mail, void)

    def answer(self, mission: str, to: str, message: object) -> None:
        """Take in what the guard decided on the mail just taken."""
        match message:
            case m.Granted() as granted:
                self._grant(mission, to, granted)
            case m.Refused(attempt=attempt, refusal=refusal):
                if refusal.scope != "id_conflict":
                    self.waiting.pop((mission, attempt), None)
                    self._refused.setdefault((mission, attempt), to)
            case m.Raised(cap_microusd=cap, applied=True):
                self.accounts[f"mission:{mission}"].limit = cap

    # -- facts --------------------------------------------------------------------------------------------

    def _grant(self, mission: str, to: str, granted: m.Granted) -> None:
        key, amount = (mission, granted.attempt), granted.microusd
        self.waiting.pop(key, None)
        known = self.holds.get(key)
        if known is not None:
            if (known.by, known.held, known.expires_ns) != (to, amount, granted.expires_ns):
                self._wrong(f"{granted.attempt} was granted twice, differently (I4)")
            return
        if not 0 < amount <= MOST_MICROUSD:
            self._wrong(f"{granted.attempt} was granted {amount} (I14)")
        day = rfc3339(self._time_ns)[:10]
        hold = Hold(to, day, amount, amount, granted.expires_ns)
        self.holds[key] = self._open[key] = hold
        self._book(key, hold, "held", 0, amount)
        self._check_limits(mission, day, granted.attempt)

    def _check_limits(self, mission: str, day: str, attempt: str) -> None:
        for name, limit in self._limits(mission, day):
            account = self.accounts[name]
            account.limit = limit
            if limit is None or account.posted + account.pending > limit:
                self._wrong(
                    f"the grant of {attempt} puts {name} at {account.posted + account.pending}, "
                    f"its limit is {limit} (I1)"
                )

    def _limits(self, mission: str, day: str) -> tuple[tuple[str, int | None], ...]:
        limits = self.limits
        return (
            (f"mission:{mission}", self.accounts[f"mission:{mission}"].limit),
            (f"day:{day}", limits.day_microusd if limits else None),
            (f"month:{day[:7]}", limits.month_microusd if limits else None),
        )

    def _sent(self, mail: Mail, attempt: str, nonce: str) -> None:
        hold = self.holds.get((mail.mission, attempt))
        if hold is not None and hold.by == mail.sender and hold.status == "held":
            hold.status, hold.nonce = "sent", nonce

    def _settle(self, mail: Mail, bill: m.Settle) -> None:
        key, cost = (mail.mission, bill.attempt), bill.microusd
        if not 0 <= cost <= MOST_MICROUSD:
            self.overruns.append(f"{bill.attempt} was billed {cost}, which is no amount: not booked")
            return
        hold = self.holds.get(key)
        owner = hold.by if hold else self._refused.get(key, mail.sender)
        if owner != mail.sender:
            self.overruns.append(f"{bill.attempt} was billed by {mail.sender}, which did not reserve it")
            return
        if hold is None:
            hold = Hold(mail.sender, rfc3339(self._time_ns)[:10], 0, 0, 0, "released")
            self.holds[key] = hold
        if hold.status == "settled":
            return
        before, was_open = hold.now, key in self._open
        self._open.pop(key, None)
        if hold.status == "in_doubt":
            self._doubt(key, hold, -before)
        covered = hold.held
        if hold.status in ("voided", "released"):  # no hold covers it any more: it counts when it came
            hold.day, covered = rfc3339(self._time_ns)[:10], 0
        if cost > covered:
            self.overruns.append(f"{bill.attempt} was billed {cost}, {covered} were held")
        what = "corrected" if hold.status == "in_doubt" else "settled"
        posted = cost - (before if hold.status == "in_doubt" else 0)
        hold.status, hold.now = "settled", cost
        self._book(key, hold, what, posted, -before if was_open else 0)

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
            del self._open[key]
            hold.status = "in_doubt"
            self._doubt(key, hold, hold.now)
            self._book(key, hold, "in_doubt", hold.now, -hold.now)

    def _close(self, key: tuple[str, str], hold: Hold, status: Literal["voided", "released"]) -> None:
        del self._open[key]
        held, hold.now, hold.status = hold.now, 0, status
        self._book(key, hold, status, 0, -held)

    # -- booking ------------------------------------------------------------------------------------------

    def _names(self, key: tuple[str, str], hold: Hold) -> tuple[str, str, str]:
        return f"mission:{key[0]}", f"day:{hold.day}", f"month:{hold.day[:7]}"

    def _book(self, key: tuple[str, str], hold: Hold, what: str, posted: int, pending: int) -> None:
        for name in self._names(key, hold):
            self.accounts[name].move(posted, pending)
        self.entries.append(
            Entry(self._seq, self._time_ns, key[0], key[1], hold.by, what, posted, pending, hold.day)
        )

    def _doubt(self, key: tuple[str, str], hold: Hold, change: int) -> None:
        for name in self._names(key, hold):
            self.accounts[name].in_doubt += change

    def _wrong(self, what: str) -> None:
        self.violations.append(f"message {self._seq}: {what}")


class Letters(NamedTuple):
    """What a log holds of the guard: its mail, and its own letters by the sequence they were decided at."""

    mail: list[Stored]
    decided: dict[int, list[Stored]]


async def read_letters(carrier: Carrier) -> Letters:
    """Read the guard's mail and its letters."""
    mail = [stored async for page in pages(carrier, MAIL_STREAM, "coo.m.*.budget.>") for stored in page]
    decided: dict[int, list[Stored]] = defaultdict(list)
    async for page in pages(carrier, MAIL_STREAM, "coo.m.*.*.*.budget"):
        for stored in page:
            decided[decided_at(stored)].append(stored)
    buried = burials.found_in(mail)
    return Letters([stored for stored in mail if stored.seq not in buried], decided)


class Walk:
    """Goes through the guard's mail in order, each mail once however often it came."""

    def __init__(self, letters: Letters) -> None:
        self.books = Books()
        self._letters = letters
        self._seen: set[tuple[str, str, str]] = set()
        self._now_ns = 0

    def step(self, stored: Stored) -> bool:
        """Take in one mail and what the guard decided on it; returns whether it was new."""
        self._now_ns = max(self._now_ns, stored.time_ns)
        mail = opened(stored, self._now_ns)
        if mail is None or (mail.mission, mail.sender, mail.id) in self._seen:
            return False
        self._seen.add((mail.mission, mail.sender, mail.id))
        self.books.take(mail)
        for letter in self._letters.decided.get(stored.seq, ()):
            answer = opened(letter, letter.time_ns)
            if answer is not None:
                self.books.answer(answer.mission, answer.to, answer.message)
        return True


def opened(stored: Stored, now_ns: int) -> Mail | None:
    """Return a message decoded, or None if it is no mail of the company's."""
    try:
        return open_mail(TABLE, stored, now_ns)
    except BadMail:
        return None


async def read_books(carrier: Carrier) -> Books:
    """Recompute the company's money from the log."""
    letters = await read_letters(carrier)
    walk = Walk(letters)
    for stored in letters.mail:
        walk.step(stored)
    return walk.books
