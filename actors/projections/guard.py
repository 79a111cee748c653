"""The guard's mail and letters, read from the log and taken into the books one by one."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import NamedTuple

from actors.projections.books import Books
from actors.table import TABLE
from bus import blobs
from bus.complaints import Decision
from bus.envelope import Mail, Stored, decided_at, decode, open_mail, version_of
from bus.errors import BadMail, BlobMismatch
from bus.loops import burials, checkpoints, releases
from bus.ports import Carrier
from bus.reading import pages
from bus.refold import follows
from bus.subjects import COMPANY, MAIL_STREAM, mail_filter, mailbox_filter, matches, parse_mail, parts_of
from bus.table import Ref

FULL_BEFORE = 4
"""Versions of the guard below this moved day and month by every bill in full."""

_ALL = 2**63
_MAIL, _LETTERS = mailbox_filter("budget"), mail_filter(sender="budget")


class TakeOver(NamedTuple):
    """The first checkpoint of a version, at `seq`: what comes up to `position` was decided by lower ones."""

    version: int
    position: int
    snapshot: bytes
    seq: int


class Letters(NamedTuple):
    """What a log holds of the guard: its mail, and its own letters by the sequence they were decided at.

    `taken_over` has the first checkpoint of each version, in the order of the log. A version that there never
    was is not looked at.
    """

    mail: list[Stored]
    decided: dict[int, list[Stored]]
    taken_over: tuple[TakeOver, ...] = ()

    def of_lower(self, version: int) -> dict[int, list[Stored]]:
        """Return the letters that lower versions, which there were, can have decided, by their mail."""
        announced = releases.found_in(TABLE, self.mail).get("budget", {})
        mail = {stored.seq: stored for stored in self.mail}
        end = next((one.seq for one in self.taken_over if one.version >= version), _ALL)
        found: dict[int, list[Stored]] = {}
        for at, letters in self.decided.items():
            found[at] = [
                letter
                for letter in letters
                if letter.seq < end
                and version_of(letter) < version
                and releases.there_was(announced, version_of(letter), letter.seq)
                and follows(letter, mail.get(at))
            ]
        return found

    def before(self, version: int) -> tuple[int, TakeOver | None]:
        """Return up to which mail versions below this one decided, and the checkpoint that ended that."""
        announced = releases.found_in(TABLE, self.mail).get("budget", {})
        written = [
            version_of(stored)
            for letters in self.decided.values()
            for stored in letters
            if releases.there_was(announced, version_of(stored), stored.seq)
        ]
        written += [one.version for one in self.taken_over]
        if not any(0 < one < version for one in written):
            return 0, None
        for one in self.taken_over:
            if one.version >= version:
                return one.position, one
        return _ALL, None


async def read_letters(carrier: Carrier) -> Letters:
    """Read the guard's mail and its letters."""
    messages = [
        stored
        for pattern in (_MAIL, _LETTERS)
        async for page in pages(carrier, MAIL_STREAM, pattern)
        for stored in page
    ]
    contents: dict[Ref, bytes] = {}
    for stored in messages:
        one = checkpoints.read(TABLE, stored)
        if one is not None and one.blob is not None and one.blob not in contents:
            with suppress(BlobMismatch):
                contents[one.blob] = await blobs.get(carrier, one.blob)
    return letters_in(messages, contents)


def letters_in(messages: Iterable[Stored], contents: Mapping[Ref, bytes] = {}) -> Letters:
    """Pick the guard's mail, and its letters, out of messages in which each may stand twice.

    `contents` are the blobs of its checkpoints.
    """
    mail: dict[int, Stored] = {}
    decided: dict[int, dict[int, Stored]] = defaultdict(dict)
    for stored in messages:
        if matches(_MAIL, stored.subject):
            mail[stored.seq] = stored
        if matches(_LETTERS, stored.subject):
            decided[decided_at(stored)][stored.seq] = stored
    buried = burials.found_in(mail.values())
    kept = [stored for stored in mail.values() if stored.seq not in buried]
    return Letters(
        kept,
        {at: list(letters.values()) for at, letters in decided.items()},
        _taken_over(kept, contents),
    )


def _taken_over(mail: list[Stored], contents: Mapping[Ref, bytes]) -> tuple[TakeOver, ...]:
    """Return the first checkpoint of each version of the guard that there was."""
    announced = releases.found_in(TABLE, mail).get("budget", {})
    found: dict[int, TakeOver] = {}
    for stored in mail:
        one = checkpoints.read(TABLE, stored)
        if one is None or one.version in found or parts_of(stored.subject).mission != COMPANY:
            continue
        content = contents.get(one.blob) if one.blob else bytes(one.fold)
        is_one = one.position < stored.seq and releases.there_was(announced, one.version, stored.seq)
        if content is not None and is_one:
            found[one.version] = TakeOver(one.version, one.position, content, stored.seq)
    return tuple(found.values())


class Walk:
    """Goes through the guard's mail in order, each mail once however often it came."""

    def __init__(self, letters: Letters) -> None:
        self.books = Books(full_until=letters.before(FULL_BEFORE)[0])
        self._letters = letters
        self._seen: set[tuple[str, str, str]] = set()
        self._now_ns = 0

    def step(
        self, stored: Stored, decision: Decision | None = None, letters: Sequence[Stored] | None = None
    ) -> bool:
        """Take in one mail and what the guard decided on it; returns whether it was new.

        What it decided is read from the log, unless it is given, or the letters are that are believed. What
        a decision that is given raised on moves nothing.
        """
        self._now_ns = max(self._now_ns, stored.time_ns)
        mail = opened(stored, self._now_ns)
        if mail is None or (mail.mission, mail.sender, mail.id) in self._seen:
            return False
        self._seen.add((mail.mission, mail.sender, mail.id))
        if decision is not None and decision.dead is not None:
            self.books.turn_away(mail, decision.dead.detail)
            return False
        self.books.take(mail)
        if letters is None:
            letters = self._letters.decided.get(stored.seq, ())
        for letter in letters if decision is None else decision.letters:
            with suppress(BadMail):
                address = parse_mail(letter.subject)
                message = decode(TABLE, TABLE.row(address), letter.content or letter.body)
                seq = letter.seq if isinstance(letter, Stored) else 0
                self.books.answer(address.mission, address.to, message, seq)
        return True


def opened(stored: Stored, now_ns: int) -> Mail | None:
    """Return a message decoded, or None if it is not mail of the company's."""
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
