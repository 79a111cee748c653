"""A mission as its mail tells it: read from the log, in any pages, without asking any actor."""

from __future__ import annotations

from typing import Any

import msgspec

from actors import messages as m
from actors.errors import Kind, UserError
from actors.money import usd
from actors.plain import plain
from actors.projections.account import Account
from actors.roles.coo.raising import short
from actors.table import TABLE
from bus import subjects
from bus.envelope import Mail, Stored, decided_at, open_mail, rfc3339
from bus.errors import BadMail
from bus.ports import Carrier
from bus.reading import pages
from bus.subjects import MAIL_STREAM
from bus.table import Error

PUBLISHED = "published"
"""The state of a mission that no COO has taken up yet."""

_CHOICES = 5


class Record:
    """What is known of one mission. `status` is the greatest by its `at`, whatever order it came in."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.mission: m.Mission | None = None
        self.status: m.Status | None = None
        self.account = Account()
        self.answers: dict[str, str] = {}
        self.examined: set[str] = set()
        self.scripted = False
        self.published_ns = 0
        self.status_ns = 0
        self.last_ns = 0
        self.position = 0
        self._seen: set[tuple[str, str]] = set()
        self._said_at = 0
        self._declined_at = 0

    @property
    def state(self) -> str:
        return self.status.state if self.status else PUBLISHED

    @property
    def is_final(self) -> bool:
        return self.state in m.FINAL

    @property
    def rests(self) -> bool:
        """Whether the mission is over, or paused until the CEO does something."""
        return self.is_final or self.state in m.PAUSED

    @property
    def is_answered(self) -> bool:
        """Whether the newest word of the CEO, or of the gate, has been taken into account."""
        known = self.status.at if self.status else 0
        return self._said_at <= max(known, self._declined_at)

    def add(self, stored: Stored) -> Mail | None:
        """Add the next message; returns it decoded, or None if it cannot be or was there before."""
        self.position = max(self.position, stored.seq)
        self.last_ns = max(self.last_ns, stored.time_ns)
        try:
            mail = open_mail(TABLE, stored, self.last_ns)
        except BadMail:
            return None
        if (mail.sender, mail.id) in self._seen:
            return None
        self._seen.add((mail.sender, mail.id))
        self.account.add(mail, decided_at(stored))
        self._note(mail, stored)
        return mail

    def _note(self, mail: Mail, stored: Stored) -> None:
        match mail.message:
            case m.Mission() as mission if self.mission is None:
                self.mission, self.published_ns = mission, stored.time_ns
            case m.Status() as status if self.status is None or status.at > self.status.at:
                self.status, self.status_ns = status, stored.time_ns
            case Error(mailbox="coo", reason="decision_changed") as error if not self.is_final:
                self.status, self.status_ns = _halted(self.status, mail.seq, error), stored.time_ns
            case m.Result(status="approved", examined=examined) if mail.sender == "qa":
                self.examined.add(examined)
            case m.Control() | m.Decision():
                self._said_at = mail.seq
            case m.Approved(digest=digest) | m.Rejected(digest=digest):
                self._said_at = mail.seq
                self.answers[digest] = mail.kind
            case m.Declined():
                self._declined_at = max(self._declined_at, decided_at(stored))
            case m.Reply(usage=m.Usage(provider="scripted")):
                self.scripted = True

    def told(self, at_ns: int) -> dict[str, Any]:
        """Return everything as the JSON that `coo show` prints. Fields are only ever added."""
        balance = self.account.balance(max(at_ns, self.last_ns))
        status = self.status or m.Status(state="created", at=0)
        models = self.mission.terms.models if self.mission else {}
        given = self.mission.budget_microusd if self.mission else 0
        cap = given if self.account.cap_microusd is None else self.account.cap_microusd
        return {
            "id": self.name,
            "status": self.state,
            "goal": self.mission.goal if self.mission else "",
            "spent_usd": usd(balance.spent_microusd),
            "held_usd": usd(balance.held_microusd),
            "in_doubt_usd": usd(balance.in_doubt_microusd),
            "cap_usd": usd(cap),
            "currency": "USD",
            "tasks": [
                {"title": task.title, "state": task.state, "attempts": task.attempts} for task in status.tasks
            ],
            "reason": status.reason,
            "fix": status.fix,
            "asks": status.asks,
            "asks_raise_usd": usd(status.raise_microusd) if status.raise_microusd else "",
            "deliverable": listing(status.deliverable),
            "evidence": status.rank,
            "model": ", ".join(dict.fromkeys(models.values())),
            "models": dict(models),
            "scripted": self.scripted,
            "refusal": _refusal(status.refusal),
            "published": rfc3339(self.published_ns),
            "updated": rfc3339(self.last_ns),
        }


def _halted(status: m.Status | None, at: int, error: Error) -> m.Status:
    """Say what a COO cannot that decides otherwise than the log; one that goes on writes a later status."""
    return msgspec.structs.replace(
        status or m.Status(state="created", at=0),
        state="paused_error",
        at=at,
        reason=error.detail,
        fix="start the version again that wrote this log, or give the mission anew",
    )


def listing(files: m.Manifest) -> list[dict[str, Any]]:
    """Return a manifest as JSON, in the order of the paths."""
    return [{"path": path, "sha256": ref.digest, "size": ref.size} for path, ref in sorted(files.items())]


def _refusal(refusal: m.Refusal | None) -> dict[str, str] | None:
    if refusal is None:
        return None
    return {
        "scope": refusal.scope,
        "needed_usd": usd(refusal.needed_microusd),
        "remaining_usd": usd(refusal.remaining_microusd),
        "text": short(refusal),
    }


async def read_record(carrier: Carrier, name: str) -> Record:
    """Read everything that the log has of a mission."""
    record = Record(name)
    async for page in pages(carrier, MAIL_STREAM, subjects.mission_filter(name)):
        for stored in page:
            record.add(stored)
    return record


def _address(stored: Stored) -> subjects.Address | None:
    return subjects.address_of(stored.subject)


async def missions(carrier: Carrier) -> list[str]:
    """Return every mission by name, the latest first."""
    found: dict[str, None] = {}
    async for page in pages(
        carrier, MAIL_STREAM, subjects.mail_filter(to="coo", kind="mission", sender="ceo")
    ):
        found.update(dict.fromkeys(one.mission for one in map(_address, page) if one is not None))
    return list(reversed(found))


async def find_mission(carrier: Carrier, wanted: str | None) -> str:
    """Return the mission that a name or the unique beginning of one means; None means the latest.

    Raises:
        UserError: there is none, or there are several.
    """
    if wanted and subjects.is_token(wanted):
        exact = subjects.mail(wanted, "coo", "mission", "ceo")
        if await carrier.last(MAIL_STREAM, exact) is not None:
            return wanted
    fitting = [name for name in await missions(carrier) if name.startswith(wanted or "")]
    if wanted is None and fitting:
        return fitting[0]
    if not fitting or not wanted:
        what = f"There is no mission {plain(wanted, 80)}." if wanted else "There is no mission yet."
        raise UserError(Kind.NOT_FOUND, what, "See them: coo ls. Give one: coo mission GOAL --budget USD.")
    if len(fitting) > 1:
        some = ", ".join(fitting[:_CHOICES]) + (", …" if len(fitting) > _CHOICES else "")
        raise UserError(
            Kind.USAGE, f"{plain(wanted, 80)} fits {len(fitting)} missions.", f"Which one: {some}?"
        )
    return fitting[0]
