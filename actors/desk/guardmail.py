"""The guard's mail and letters, read from the log and taken into the books one by one."""

from __future__ import annotations

from collections import defaultdict
from typing import NamedTuple

from actors.desk.books import Books
from actors.desk.record import pages
from actors.table import TABLE
from bus import blobs, burials
from bus.envelope import Mail, Stored, decided_at, open_mail, version_of
from bus.errors import BadMail
from bus.ports import Carrier
from bus.subjects import MAIL_STREAM, mail_filter, mailbox_filter, parts_of
from bus.table import CHECKPOINT, Checkpoint

FULL_BEFORE = 4
"""Versions of the guard below this moved day and month by every bill in full."""

_ALL = 2**63


class TakeOver(NamedTuple):
    """The first checkpoint of a version: the mail up to `position` was decided by lower ones."""

    version: int
    position: int
    snapshot: bytes


class Letters(NamedTuple):
    """What a log holds of the guard: its mail, and its own letters by the sequence they were decided at.

    `taken_over` has the first checkpoint of each version, in the order of the log.
    """

    mail: list[Stored]
    decided: dict[int, list[Stored]]
    taken_over: tuple[TakeOver, ...] = ()

    def before(self, version: int) -> tuple[int, TakeOver | None]:
        """Return up to which mail versions below this one decided, and the checkpoint that ended that."""
        written = [version_of(stored) for letters in self.decided.values() for stored in letters]
        written += [one.version for one in self.taken_over]
        if not any(0 < one < version for one in written):
            return 0, None
        for one in self.taken_over:
            if one.version >= version:
                return one.position, one
        return _ALL, None


async def read_letters(carrier: Carrier) -> Letters:
    """Read the guard's mail and its letters."""
    mail = [stored async for page in pages(carrier, MAIL_STREAM, mailbox_filter("budget")) for stored in page]
    decided: dict[int, list[Stored]] = defaultdict(list)
    async for page in pages(carrier, MAIL_STREAM, mail_filter(sender="budget")):
        for stored in page:
            decided[decided_at(stored)].append(stored)
    buried = burials.found_in(mail)
    kept = [stored for stored in mail if stored.seq not in buried]
    return Letters(kept, decided, await _taken_over(carrier, kept))


async def _taken_over(carrier: Carrier, mail: list[Stored]) -> tuple[TakeOver, ...]:
    """Read the first checkpoint of each version of the guard."""
    found: dict[int, TakeOver] = {}
    for stored in mail:
        if parts_of(stored.subject).kind != CHECKPOINT:
            continue
        own = opened(stored, stored.time_ns)
        if own is None or not isinstance(one := own.message, Checkpoint) or one.version in found:
            continue
        content = await blobs.get(carrier, one.blob) if one.blob else bytes(one.fold)
        found[one.version] = TakeOver(one.version, one.position, content)
    return tuple(found.values())


class Walk:
    """Goes through the guard's mail in order, each mail once however often it came."""

    def __init__(self, letters: Letters) -> None:
        self.books = Books(full_until=letters.before(FULL_BEFORE)[0])
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
