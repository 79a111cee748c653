"""Subject grammar: where mail, blobs and dead letters are.

coo.m.<mission>.<to>.<kind>.<from>    mail           stream COO
coo.b.<from>.<sha256>.<n>             blob chunks    stream COO_BLOBS
coo.dlq.<mailbox>.<mission>           dead letters   stream COO_DLQ
coo.hint.<to>.<mission>               said by the server when mail is in COO; not stored

Subjects and filters are made here alone, and of tokens alone: nats-server takes a publish to a subject with
an asterisk in it, which would be a filter that matches other missions as soon as somebody read by it.
"""

from __future__ import annotations

import re
from enum import Enum
from functools import lru_cache
from typing import Final, NamedTuple, NewType

from bus.errors import BadMail, NotAToken

Subject = NewType("Subject", str)
"""A subject that names one thing: no token of it is a wildcard. Only functions of this module make one."""

Filter = NewType("Filter", str)
"""What subjects are read by. Only functions of this module make one."""

COMPANY = "company"
"""The mission token of mail that belongs to no mission."""

MAIL_STREAM = "COO"
BLOB_STREAM = "COO_BLOBS"
DLQ_STREAM = "COO_DLQ"

_TOKEN = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}\Z")
_DIGEST = re.compile(r"[0-9a-f]{64}\Z")
_MOST_CHUNKS = 1_000_000


class Wildcard(Enum):
    """What stands in a filter where any token will do. No text is ever one."""

    ANY = "*"


ANY: Final = Wildcard.ANY
Wanted = str | Wildcard
"""One token, or any."""


class Address(NamedTuple):
    """A mail subject, taken apart."""

    mission: str
    to: str
    kind: str
    sender: str


def is_token(text: str) -> bool:
    """Say whether the text can stand in a subject of ours: lower-case letters, digits, `-` and `_`."""
    return _TOKEN.match(text) is not None


def _join(*tokens: str) -> Subject:
    for token in tokens:
        if not isinstance(token, str) or not is_token(token):
            raise NotAToken(token)
    return Subject(".".join(("coo", *tokens)))


def _pattern(*tokens: Wanted, rest: bool = False) -> Filter:
    words = ["*" if token is ANY else _join(token)[4:] for token in tokens]
    return Filter(".".join(("coo", *words, *([">"] if rest else []))))


# -- subjects of one thing ------------------------------------------------------------------------------


def mail(mission: str, to: str, kind: str, sender: str) -> Subject:
    """Return the subject of mail.

    Raises:
        NotAToken: as every function here that makes a subject or a filter, when a part is not a token.
    """
    return _join("m", mission, to, kind, sender)


def blob_chunk(owner: str, digest: str, n: int) -> Subject:
    """Return where the n-th chunk of a blob is; the digest is a sha256 in hex."""
    if not isinstance(digest, str) or _DIGEST.match(digest) is None:
        raise NotAToken(digest)
    if type(n) is not int or not 0 <= n < _MOST_CHUNKS:
        raise NotAToken(n)
    return _join("b", owner, digest, str(n))


def dead_letter(mailbox: str, mission: str) -> Subject:
    return _join("dlq", mailbox, mission)


# -- filters --------------------------------------------------------------------------------------------


def mail_filter(mission: Wanted = ANY, to: Wanted = ANY, kind: Wanted = ANY, sender: Wanted = ANY) -> Filter:
    """Return the filter of mail with these parts."""
    return _pattern("m", mission, to, kind, sender)


def mission_filter(mission: Wanted = ANY) -> Filter:
    """Return the filter of everything under a mission, well formed or not; under all of them by default."""
    return _pattern("m", mission, rest=True)


def mailbox_filter(mailbox: str, mission: Wanted = ANY) -> Filter:
    """Return the filter of everything that a mailbox gets, of one mission or of all."""
    return _pattern("m", mission, mailbox, rest=True)


def order_filter(mailbox: str, kind: str) -> Filter:
    """Return the filter of everything of one kind that a mailbox gets."""
    return _pattern("m", ANY, mailbox, kind, rest=True)


def chunk_filter(owner: str) -> Filter:
    """Return the filter of everything that somebody stores as blobs."""
    return _pattern("b", owner, ANY, ANY)


def dead_letter_filter(mailbox: Wanted = ANY, mission: Wanted = ANY) -> Filter:
    """Return the filter of dead letters."""
    return _pattern("dlq", mailbox, mission)


def hint_filter(mailbox: str) -> Filter:
    """Return where the server announces that it has stored mail for a mailbox. Stored nowhere itself."""
    return _pattern("hint", mailbox, ANY)


def only(subject: Subject) -> Filter:
    """Return the filter that matches one subject."""
    return Filter(subject)


STORES: Final = {
    stream: f"coo.{word}.>" for stream, word in ((MAIL_STREAM, "m"), (BLOB_STREAM, "b"), (DLQ_STREAM, "dlq"))
}
"""What each stream stores: everything under its word, so that a publish is never lost unseen."""

EVERY_MAIL: Final = Filter(STORES[MAIL_STREAM])
"""All mail, well formed or not. nats-server finds a subject with `>` in its midst by no filter with `*`."""

EVERY_DEAD_LETTER: Final = Filter(STORES[DLQ_STREAM])
"""Everything in the dead letters, well formed or not."""


def hinted(sender: Wanted = ANY) -> tuple[Filter, str]:
    """Return what the server announces, everything or the mail of one sender, and where it does."""
    return mail_filter(sender=sender), "coo.hint.{{wildcard(2)}}.{{wildcard(1)}}"


# -- taking apart ---------------------------------------------------------------------------------------


def parse_mail(subject: str) -> Address:
    """Take a mail subject apart.

    Raises:
        BadMail: it has not six tokens, or one of them is not a token of ours.
    """
    tokens = subject.split(".")
    if len(tokens) != 6 or tokens[:2] != ["coo", "m"]:
        raise BadMail("bad_subject", f"{subject!r} is not coo.m.<mission>.<to>.<kind>.<from>")
    if not all(map(is_token, tokens[2:])):
        raise BadMail("bad_subject", f"{subject!r} has a token other than a-z, 0-9, - and _")
    return Address(*tokens[2:])


def address_of(subject: str) -> Address | None:
    """Take a mail subject apart; None if it is not well formed."""
    try:
        return parse_mail(subject)
    except BadMail:
        return None


def exactly(address: Address) -> Subject:
    """Return the subject of an address."""
    return mail(*address)


def parts_of(subject: str) -> Address:
    """Return what stands where the parts of mail do, for a person to see: anything, or nothing."""
    tokens = [*subject.split("."), *[""] * 6]
    return Address(*tokens[2:6])


def mission_of(subject: str) -> str:
    """Return the mission of a subject under `coo.m`, else the company: always a token."""
    mission = parts_of(subject).mission
    return mission if is_token(mission) else COMPANY


def lane_of(subject: str) -> str:
    """Return what letters keep their order within: the mission and the addressee, for mail."""
    return subject.rsplit(".", 2)[0] if stream_of(subject) == MAIL_STREAM else subject


def stream_of(subject: str) -> str | None:
    """Return the stream that stores a subject."""
    return next((stream for stream, pattern in STORES.items() if matches(pattern, subject)), None)


def entombed_by(subject: str) -> tuple[str, str]:
    """Return the mailbox and the mission that a dead letter's subject names, empty where it does not."""
    tokens = [*subject.split(".", 3), "", ""]
    return tokens[2], tokens[3]


@lru_cache(maxsize=65_536)
def matches(pattern: str, subject: str) -> bool:
    """Say whether a NATS subject filter (`*`, `>`) matches a subject."""
    wanted, got = pattern.split("."), subject.split(".")
    for i, token in enumerate(wanted):
        if token == ">":
            return len(got) > i
        if i >= len(got) or token not in ("*", got[i]):
            return False
    return len(wanted) == len(got)
