"""An actor that was taken over: it writes whatever its broker account lets it write.

What it may write follows from the table, as the server's permissions do. What it writes is drawn from a
seed: mail of every kind that it may send, checkpoints, dead letters and blobs; with bodies from valid to
broken, with every header that somebody reads, under the names of missions that are none, and under ids that
others are about to use. It has heard everything: every account may read the log.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from random import Random
from typing import NamedTuple

from actors.chaos.garbage import Garbage
from bus import subjects
from bus.envelope import Outgoing, Stored, base_headers, digest
from bus.errors import BadMail
from bus.table import Row, Table
from bus.wire import raw_headers

ODD_NAMES = (
    *("*", ">", "m*", "*m", "**", ".", "M-2", "-", "_", "$JS", "null", "None", "__proto__", "é", "\u202e"),
    *(
        "\x1b]0;x\x07",
        "m-2%20",
        "a" * 64,
        "a" * 65,
        "z" * 200,
        "unknown",
        "expiry",
        "coo",
        "0",
        "#",
        "'",
        '"',
    ),
)
"""Where a mission's name stands in a subject: what is none, and what is one that nobody gave."""

NEW_ID = "taken-"
"""How ids begin that follow from nothing in the log."""

_STATUSES = ("404", "500", "503", "408", "100", "204", "0", "x")
_NUMBERS = ("0", "-1", "1", "999", "9" * 25, "9" * 4_400, "x", "", "٣", "1.5", "0x10", " 7")
_DIGEST = re.compile(rb'"([0-9a-f]{64})"')
_KEPT = 300
_TIME_NS = 1_800_000_000_000_000_000


_ODD_LINES = (
    *(b"ce-id: a\r\nce-id: b", b"Nats-Sequence: 1\r\nNats-Sequence: 2", b"no colon", b": no name", b"x:"),
    *(b"\xff\xfe: \xff", b"x: \xe2\x28\xa1", b"x: a\r\n folded", b"Status: 404\r\nstatus: 500", b"\r", b"\n"),
    *(b"coo-at:\t9", b"NATS/1.0 503", b"x: " + b"y" * 30_000, b"coo-version: =?utf-8?q?9?=", b"\x00: \x00"),
)
"""Header lines that no library would send."""


class Forged(NamedTuple):
    """A message as somebody writes it: any bytes."""

    subject: bytes
    raw: bytes
    body: bytes

    @property
    def is_new(self) -> bool:
        """Whether its id is one that follows from nothing in the log."""
        return f"ce-id: {NEW_ID}".encode() in self.raw


class Adversary:
    """Plays one taken process. It names no mission of `spared`, and most often one of `named`."""

    def __init__(
        self, table: Table, process: str, chance: Random, named: Sequence[str], spared: Sequence[str]
    ) -> None:
        self.chance = chance
        self.senders = [mailbox.name for mailbox in table.mailboxes_of(process)]
        self._table = table
        per_company = any(mailbox.per == "company" for mailbox in table.mailboxes_of(process))
        self._odd_names = ODD_NAMES if per_company else (*ODD_NAMES, subjects.COMPANY)
        self._named = named
        self._spared = spared
        self._rows = table.rows_from(self.senders)
        self._garbage = Garbage(chance)
        self._heard: list[Stored] = []
        self._by_kind: dict[str, list[bytes]] = {}
        self._count = 0

    def hear(self, stored: Stored) -> None:
        """Take note of a message of the log."""
        self._heard.append(stored)
        del self._heard[:-_KEPT]
        self._garbage.hear(stored.body)
        tokens = stored.subject.split(".")
        if len(tokens) == 6:
            self._by_kind.setdefault(tokens[4], []).append(stored.body)
            del self._by_kind[tokens[4]][:-20]

    def message(self) -> Forged:
        """Return the next message."""
        made = self._made()
        raw = raw_headers(made.headers)
        if self.chance.random() < 0.1:
            raw = raw[:-2] + self.chance.choice(_ODD_LINES) + b"\r\n\r\n"
        return Forged(made.subject.encode(), raw, made.body)

    def _made(self) -> Outgoing:
        self._count += 1
        drawn = self.chance.random()
        if drawn < 0.06:
            return self._dead_letter()
        if drawn < 0.12:
            return self._blob()
        own = [stored for stored in self._heard if self._is_own(stored)]
        if drawn < 0.3 and own:
            return self._copy(self.chance.choice(own))
        return self._mail(self.chance.choice(self._rows))

    # -- where ----------------------------------------------------------------------------------------

    def _mission(self) -> str:
        """Return a mission token, of one that is named, that is odd, or that somebody else gave."""
        name = self.chance.choice(self._named)
        if self.chance.random() < 0.3:
            name = self.chance.choice(self._odd_names)
        return self._named[0] if name in self._spared or "." in name else name

    def _is_own(self, stored: Stored) -> bool:
        return subjects.parts_of(stored.subject).sender in self.senders

    # -- what -----------------------------------------------------------------------------------------

    def _mail(self, row: Row) -> Outgoing:
        subject = _raw("m", self._mission(), row.to, row.kind, row.sender)
        heard = self._by_kind.get(row.kind)
        body = self._garbage.body(row.message, self.chance.choice(heard) if heard else None)
        return Outgoing(subject, self._headers(row.sender, row.kind), body)

    def _copy(self, stored: Stored) -> Outgoing:
        """Return own mail again, under another mission or id, with another body, or with one header more."""
        tokens = stored.subject.split(".")
        if len(tokens) != 6 or tokens[2] in self._spared or self.chance.random() < 0.3:
            tokens[2] = self._mission()
        headers, body = dict(stored.headers), stored.body
        match self.chance.randrange(4):
            case 0:
                headers["ce-id"] = headers["Nats-Msg-Id"] = self._id()
            case 1:
                headers["Nats-Msg-Id"] = self._id()
            case 2:
                body = self._garbage.body(self._table.row(_address(tokens)).message, body)
            case 3:
                self._spoil(headers)
        return Outgoing(_raw(*tokens[1:]), headers, body)

    def _dead_letter(self) -> Outgoing:
        mailbox = self.chance.choice(self.senders)
        headers = self._headers(mailbox, "dead_letter")
        body = b"x"
        if self._heard:
            stored = self.chance.choice(self._heard)
            headers["coo-dlq-subject"] = stored.subject
            headers["coo-dlq-seq"] = self.chance.choice((*_NUMBERS, str(stored.seq), str(stored.seq)))
            headers["coo-dlq-reason"] = self.chance.choice(("raised", "\x1b[2J", "x" * 500))
            if self.chance.random() < 0.5:
                headers["ce-id"] = digest("dead", mailbox, stored.seq)
            body = stored.body
        return Outgoing(_raw("dlq", mailbox, self._mission()), headers, body)

    def _blob(self) -> Outgoing:
        """Return a chunk under a digest that is not its own, or under another's message id."""
        owner = self.chance.choice(self.senders)
        name = self.chance.choice((*self._digests(), "0" * 64, "*", ">", "x"))
        number = self.chance.choice(("0", "1", "*", "-1", "x"))
        others = [mailbox.name for mailbox in self._table.mailboxes if mailbox.name != owner]
        squatted = _raw("b", self.chance.choice(others), name, "0")
        body = self.chance.randbytes(self.chance.choice((0, 1, 100, 70_000)))
        return Outgoing(_raw("b", owner, name, number), {"Nats-Msg-Id": squatted}, body)

    def _digests(self) -> list[str]:
        return [found.decode() for stored in self._heard[-40:] for found in _DIGEST.findall(stored.body)]

    # -- headers --------------------------------------------------------------------------------------

    def _headers(self, sender: str, kind: str) -> dict[str, str]:
        headers = base_headers(self._id(), sender, kind, _TIME_NS)
        if self._heard and self.chance.random() < 0.7:
            cause = self.chance.choice(self._heard)
            asked_by = cause.subject.rpartition(".")[2]
            headers["coo-cause"] = f"{asked_by}/{cause.headers.get('ce-id', '')}"
            headers["coo-at"] = str(cause.seq)
            headers["coo-version"] = self.chance.choice(("1", "2", "3", "4"))
        if self.chance.random() < 0.5:
            self._spoil(headers)
        return headers

    def _spoil(self, headers: dict[str, str]) -> None:
        """Set or take away one header that somebody reads."""
        chance, number = self.chance, self.chance.choice(_NUMBERS)
        match chance.randrange(8):
            case 0:
                headers.pop(chance.choice([*headers, "ce-id"]), None)
            case 1:
                headers[chance.choice(("Status", "status", "Description"))] = chance.choice(_STATUSES)
            case 2:
                name = chance.choice(("Stream", "Sequence", "Subject", "Time-Stamp", "Num-Pending"))
                headers[chance.choice(("Nats-", "nats-")) + name] = chance.choice((number, "COO", "coo.m.x"))
            case 3:
                name = chance.choice(("Last-Sequence", "Last-Msg-Id", "Stream", "Last-Subject-Sequence"))
                headers[f"Nats-Expected-{name}"] = chance.choice((number, "COO"))
            case 4:
                name = chance.choice(("Rollup", "TTL", "Incr", "Schedule", "Batch-Id", "Marker-Reason"))
                headers[f"Nats-{name}"] = chance.choice(("all", "sub", "1s", "+1", "@every 1s", "never"))
            case 5:
                name = chance.choice(("coo-version", "coo-at", "coo-dlq-seq"))
                headers[name] = number
            case 6:
                name = chance.choice(("ce-id", "ce-source", "ce-type", "ce-time", "coo-cause", "traceparent"))
                headers[name] = chance.choice(
                    (*_NUMBERS, "/coo/ceo", "ceo/x", "é", "/", "a" * 129, "\x1b[2J")
                )
            case 7:
                name = chance.choice(("coo-replay-of", "coo-retry-of", "Nats-Last-Sequence", "CE-ID"))
                headers[name] = self._id()

    def _id(self) -> str:
        """Return a new id, one that is in use, or one that somebody else is about to use."""
        drawn = self.chance.random()
        if not self._heard or drawn < 0.5:
            return f"{NEW_ID}{self.senders[0]}-{self._count}-{self.chance.getrandbits(32):08x}"
        newest = self._heard[-3:] if self.chance.random() < 0.7 else self._heard
        stored = self.chance.choice(newest)
        if drawn < 0.6:
            return stored.headers.get("ce-id", "") or "x"
        return self._foreseen(stored)

    def _foreseen(self, stored: Stored) -> str:
        """Return an id that follows from a message: that of its answer, its dead letter or a checkpoint."""
        try:
            address = subjects.parse_mail(stored.subject)
        except BadMail:
            return "x"
        if self.chance.random() < 0.2:
            return digest("dead", address.to, stored.seq)
        if self.chance.random() < 0.2:
            key = subjects.COMPANY if address.to == "budget" else address.mission
            return digest("checkpoint", key, address.to, self.chance.randint(1, 5), stored.seq)
        row = self.chance.choice(self._table.rows_from([address.to]) or self._rows)
        cause = stored.headers.get("ce-id", "")
        return digest(address.mission, address.sender, cause, address.to, row.to, row.kind, 0)


def _raw(*tokens: str) -> subjects.Subject:
    """Return a subject of any tokens: who was taken over does not use our grammar."""
    return subjects.Subject(".".join(("coo", *tokens)))


def _address(tokens: Sequence[str]) -> subjects.Address:
    return subjects.Address(*tokens[2:])
