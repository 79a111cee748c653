"""A mission's mail as lines that a person reads: when, who, what, for how much.

Not every message is a line: what only moves the machinery (orders, holds, wakes) is told by what comes of it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import msgspec

from actors import messages as m
from actors.days import SECOND_NS
from actors.money import usd
from actors.plain import plain
from actors.projections.record import Record
from actors.roles.coo.raising import short
from bus.envelope import Mail
from bus.table import Error

SCRIPTED = "scripted model: canned answers, invented prices"

_TEXT_CHARS = 110
_COST_COLUMN = 84
_OF_AN_EXAM = ("case-", "before-", "marks-")
_COLOURS = {"✔": "green", "✘": "red", "⏸": "yellow"}


class Line(NamedTuple):
    """One line of the timeline. `at_ns` is the time since the mission was published."""

    at_ns: int
    who: str
    what: str
    text: str = ""
    cost_microusd: int | None = None

    def __str__(self) -> str:
        text = f"{clock(self.at_ns)} {self.who:<9} {self.what:<10} {plain(self.text, _TEXT_CHARS)}".rstrip()
        if self.cost_microusd is None:
            return text
        return f"{text:<{_COST_COLUMN}}  ${usd(self.cost_microusd)}"

    @property
    def style(self) -> str:
        return _COLOURS.get(self.text[:1], "")


def clock(duration_ns: int) -> str:
    """Write a time since the beginning as 01:10, from an hour on as 1:01:10."""
    minutes, seconds = divmod(max(0, duration_ns) // SECOND_NS, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}" if hours else f"{minutes:02d}:{seconds:02d}"


def spell(duration_ns: int) -> str:
    """Write a duration as 4.2s, 12s, 1m10s or 2h5m."""
    seconds = max(0, duration_ns) / SECOND_NS
    if seconds < 9.95:
        return f"{seconds:.1f}s"
    minutes, rest = divmod(round(seconds), 60)
    if not minutes:
        return f"{rest}s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h{minutes}m" if hours else f"{minutes}m{rest}s"


def count(number: int, thing: str) -> str:
    return f"{number} {thing}{'' if number == 1 else 's'}"


class Timeline:
    """Turns mail into lines, in the order of the log. `lines` counts a reply's lines, if somebody did."""

    def __init__(self) -> None:
        self._begin_ns: int | None = None
        self._tasks = 0
        self._argv: dict[str, tuple[str, ...]] = {}
        self._state: tuple[int, str] = (0, "created")
        self._said_scripted = False

    def tell(self, mail: Mail, lines: int | None = None) -> list[Line]:
        """Return what one mail is worth saying, often nothing."""
        if self._begin_ns is None:
            self._begin_ns = mail.now_ns
        told: list[Line] = []

        def say(who: str, what: str, text: str = "", cost: int | None = None) -> None:
            told.append(Line(mail.now_ns - (self._begin_ns or 0), who, what, text, cost))

        match mail.message:
            case m.Reply() as reply:
                self._reply(say, mail, reply, lines)
            case m.Task() | m.Execute() | m.Outcome() | m.Result() as work:
                self._work(say, mail, work)
            case m.Status() as status:
                self._status(say, status)
            case message:
                _others(say, mail, message)
        return told

    def _of(self, number: int) -> str:
        return f"task {number + 1}/{self._tasks}" if self._tasks else f"task {number + 1}"

    def _reply(self, say: Say, mail: Mail, reply: m.Reply, lines: int | None) -> None:
        who = mail.to
        usage = reply.usage
        if usage is not None and usage.provider == "scripted" and not self._said_scripted:
            self._said_scripted = True
            say(who, "note", SCRIPTED)
        cost = usage.microusd if usage is not None else None
        match reply:
            case m.Reply(status="failed"):
                say(who, reply.turn, f"✘ {reply.error}: {reply.detail}", cost)
            case m.Reply(status="answered", turn="plan"):
                self._tasks = len(reply.plan)
                titles = "; ".join(task.title for task in reply.plan)
                say(who, "plan", f"{count(len(reply.plan), 'task')}: {titles}", cost)
            case m.Reply(status="answered", turn="code" | "checks"):
                size = f", {count(lines, 'line')}" if lines is not None else ""
                text = (
                    f"{self._of(reply.number)}: {count(len(reply.files), 'file')}{size}: {_few(reply.files)}"
                )
                say(who, reply.turn, text, cost)
            case m.Reply(status="answered", turn="exam", exam=m.Exam(cases=cases)):
                names = ", ".join(case.name for case in cases)
                say(who, "exam", f"{self._of(reply.number)}: {count(len(cases), 'case')}: {names}", cost)
            case m.Reply(status="answered", turn="judge"):
                said = reply.verdict.verdict if reply.verdict else "no verdict"
                say(who, "judge", f"{self._of(reply.number)}: the model says {said}", cost)
            case _ if cost is not None:
                say(who, reply.turn, reply.status, cost)

    def _work(self, say: Say, mail: Mail, work: m.Task | m.Execute | m.Outcome | m.Result) -> None:
        match work:
            case m.Task() if mail.to == "engineer":
                again = f", rework {work.rework}" if work.rework else ""
                say("coo", "task", f"{self._of(work.number)}{again}: {work.plan.title}")
            case m.Execute():
                self._argv[f"{mail.sender}/{mail.id}"] = work.argv
            case m.Outcome(status="dropped"):
                pass
            case m.Outcome(run="marks"):
                say("sandbox", "marks", _marks(work))
            case m.Outcome(exit_code=code) if code is not None and work.run.startswith(_OF_AN_EXAM):
                pass  # its marks are told
            case m.Outcome():
                say("sandbox", "run", self._outcome(mail, work))
            case m.Result(status="approved"):
                say(mail.sender, "review", f"✔ {self._of(work.number)} approved")
            case m.Result(status="rejected"):
                say(mail.sender, "review", f"✘ {self._of(work.number)} sent back: {_first(work)}")
            case m.Result(status="failed" | "stuck" | "blocked"):
                say(mail.sender, work.status, f"✘ {self._of(work.number)}: {work.reason}")

    def _outcome(self, mail: Mail, outcome: m.Outcome) -> str:
        """Say how a run ended; the control run, on an empty workspace, must not pass."""
        argv = " ".join(self._argv.get(mail.cause, ())) or outcome.run
        if outcome.exit_code is None:
            return f"✘ {outcome.status}: {outcome.reason or argv}"
        passed = outcome.status == "ok" and outcome.exit_code == 0
        control = outcome.run == "control"
        note = " (on an empty workspace)" if control else ""
        mark = "✔" if passed != control else "✘"
        return f"{mark} exit {outcome.exit_code} in {spell(outcome.wall_ms * 1_000_000)}{note}: {argv}"

    def _status(self, say: Say, status: m.Status) -> None:
        """Tell of pauses and of going on; the end is told by the closing line."""
        at, before = self._state
        if status.at <= at:
            return
        self._state = (status.at, status.state)
        if status.state in m.FINAL or status.state == before:
            return
        if status.state in m.PAUSED:
            say("coo", "paused", f"⏸ {status.state}: {status.reason}")
        elif before in m.PAUSED:
            say("coo", "goes on", status.state)


Say = Callable[..., None]


def _others(say: Say, mail: Mail, message: msgspec.Struct) -> None:
    match message:
        case m.Mission():
            say("ceo", "mission", f'"{plain(message.goal, 60)}" for at most ${usd(message.budget_microusd)}')
        case m.Control():
            say("ceo", message.action, message.reason)
        case m.Decision(raise_microusd=more, raise_tokens=tokens) if more or tokens:
            caps = [f"the cap by ${usd(more)}"] if more else []
            caps += [f"tokens of {role} by {number:,}" for role, number in sorted(tokens.items())]
            say("ceo", "raise", f"{', '.join(caps)} {message.note}".rstrip())
        case m.Decision():
            say("ceo", message.verdict, message.note)
        case m.Raised(applied=True):
            say("budget", "raised", f"✔ the cap is ${usd(message.cap_microusd)}")
        case m.Queued(slots=slots):
            say("budget", "queued", f"⏸ all {slots} slots are taken")
        case m.Park():
            say("coo", "park", "gives its slot back until it is resumed")
        case m.Frozen():
            cost, held = usd(message.cost_microusd), usd(message.held_microusd)
            say("budget", "frozen", f"✘ {message.reason}: ${cost} billed, ${held} held")
        case m.Refused(refusal=refusal):
            say("budget", "refused", f"✘ {short(refusal)}")
        case m.Request(what="raise"):
            say("approval", "asks", f"⏸ ${usd(message.raise_microusd)} more: {message.why}")
        case m.Request():
            say("approval", "asks", f"⏸ {message.what} of {message.why}, sha256 {message.digest[:12]}")
        case m.Approved() | m.Rejected():
            mark = "✔" if isinstance(message, m.Approved) else "✘"
            say("approval", mail.kind, f"{mark} sha256 {message.digest[:12]}")
        case m.Expired():
            say("approval", "expired", "nobody decided in time; a later decision still counts")
        case m.Declined():
            say(mail.sender, "declined", message.reason)
        case Error():
            say(message.mailbox, "error", f"✘ message {message.seq}: {message.reason}: {message.detail}")


def _marks(outcome: m.Outcome) -> str:
    """Say how many cases the marker passes; what it says otherwise is QA's business."""
    words = [line.split()[0] for line in outcome.stdout.split("\n") if line.strip()]
    passed, cases = words.count("PASS"), len(words)
    if outcome.status != "ok" or not cases:
        return f"✘ no marks: {outcome.status} {outcome.reason or outcome.stderr[-80:]}"
    return f"{'✔' if passed == cases else '✘'} {passed} of {count(cases, 'case')} passed"


def _few(files: m.Manifest) -> str:
    names = [plain(path, 40) for path in files]
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _first(result: m.Result) -> str:
    if not result.findings:
        return result.reason or "no reason given"
    first = result.findings[0]
    where = f"{first.file}: " if first.file else ""
    return f"{where}{first.problem}"


def closing(record: Record, at_ns: int) -> str:
    """Return the last line: the state, how long it took, what it cost, what there is."""
    status = record.status
    balance = record.account.balance(max(at_ns, record.last_ns))
    mark = {"completed": "✔", "failed": "✘", "cancelled": "✘"}.get(record.state, "⏸")
    took = spell((record.status_ns if status else record.last_ns) - record.published_ns)
    given = record.mission.budget_microusd if record.mission else 0
    cap = usd(given if record.account.cap_microusd is None else record.account.cap_microusd)
    parts = [f"{mark} {record.state} in {took}", f"${usd(balance.spent_microusd)} of ${cap}"]
    if balance.in_doubt_microusd:
        parts.append(f"${usd(balance.in_doubt_microusd)} of it in doubt")
    if balance.held_microusd:
        parts.append(f"${usd(balance.held_microusd)} still held")
    if status is not None and status.deliverable:
        parts.append(count(len(status.deliverable), "file"))
    if status is not None and status.rank == "claimed":
        parts.append("approved on its own word alone")
    if status is not None and status.reason:
        parts.append(plain(status.reason, 300))
    return " · ".join(parts)


def asks(told: dict[str, Any]) -> str:
    """Say what a mission waits for, from what `Record.told` says; "" if for nothing."""
    more = f" to raise the cap by ${told['asks_raise_usd']}" if told["asks_raise_usd"] else ""
    return f"your approval{more} of sha256 {told['asks']}" if told["asks"] else ""
