"""The guard's mail and letters, read from the log and taken into the books one by one."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from contextlib import suppress
from typing import NamedTuple

from actors.desk.books import Books
from actors.desk.record import pages
from actors.table import TABLE
from bus import burials
from bus.complaints import Decision
from bus.envelope import Mail, Stored, decided_at, decode, open_mail
from bus.errors import BadMail
from bus.ports import Carrier
from bus.subjects import MAIL_STREAM, mail_filter, mailbox_filter, matches, parse_mail

_MAIL, _LETTERS = mailbox_filter("budget"), mail_filter(sender="budget")


class Letters(NamedTuple):
    """What a log holds of the guard: its mail, and its own letters by the sequence they were decided at."""

    mail: list[Stored]
    decided: dict[int, list[Stored]]


async def read_letters(carrier: Carrier) -> Letters:
    """Read the guard's mail and its letters."""
    return letters_in(
        [
            stored
            for pattern in (_MAIL, _LETTERS)
            async for page in pages(carrier, MAIL_STREAM, pattern)
            for stored in page
        ]
    )


def letters_in(messages: Iterable[Stored]) -> Letters:
    """Pick the guard's mail, and its letters, out of messages in which each may stand twice."""
    mail: dict[int, Stored] = {}
    decided: dict[int, dict[int, Stored]] = defaultdict(dict)
    for stored in messages:
        if matches(_MAIL, stored.subject):
            mail[stored.seq] = stored
        if matches(_LETTERS, stored.subject):
            decided[decided_at(stored)][stored.seq] = stored
    buried = burials.found_in(mail.values())
    return Letters(
        [stored for stored in mail.values() if stored.seq not in buried],
        {at: list(letters.values()) for at, letters in decided.items()},
    )


class Walk:
    """Goes through the guard's mail in order, each mail once however often it came."""

    def __init__(self, letters: Letters) -> None:
        self.books = Books()
        self._letters = letters
        self._seen: set[tuple[str, str, str]] = set()
        self._now_ns = 0

    def step(self, stored: Stored, decision: Decision | None = None) -> bool:
        """Take in one mail and what the guard decided on it; returns whether it was new.

        What it decided is read from the log, unless it is given. What it raised on moves nothing.
        """
        self._now_ns = max(self._now_ns, stored.time_ns)
        mail = opened(stored, self._now_ns)
        if mail is None or (mail.mission, mail.sender, mail.id) in self._seen:
            return False
        self._seen.add((mail.mission, mail.sender, mail.id))
        if decision is not None and decision.dead is not None:
            return False
        self.books.take(mail)
        for letter in self._letters.decided.get(stored.seq, ()) if decision is None else decision.letters:
            with suppress(BadMail):
                address = parse_mail(letter.subject)
                message = decode(TABLE, TABLE.row(address), letter.body)
                self.books.answer(address.mission, address.to, message)
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
