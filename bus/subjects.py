"""Subject grammar: where mail, blobs and dead letters are.

coo.m.<mission>.<to>.<kind>.<from>    mail           stream COO
coo.b.<from>.<sha256>.<n>             blob chunks    stream COO_BLOBS
coo.dlq.<mailbox>.<mission>           dead letters   stream COO_DLQ
coo.hint.<to>.<mission>               said by the server when mail is in COO; not stored
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

from bus.errors import BadMail

COMPANY = "company"
"""The mission token of mail that belongs to no mission."""

MAIL_STREAM = "COO"
BLOB_STREAM = "COO_BLOBS"
DLQ_STREAM = "COO_DLQ"

_TOKEN = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}\Z")


class Address(NamedTuple):
    """A mail subject, taken apart."""

    mission: str
    to: str
    kind: str
    sender: str


def is_token(text: str) -> bool:
    """Say whether the text can stand in a subject of ours: lower-case letters, digits, `-` and `_`."""
    return _TOKEN.match(text) is not None


def mail(mission: str, to: str, kind: str, sender: str) -> str:
    return f"coo.m.{mission}.{to}.{kind}.{sender}"


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


def mission_token(subject: str) -> str:
    """Return the mission token of any subject under `coo.m`, well formed or not."""
    tokens = subject.split(".", 3)
    return tokens[2] if len(tokens) > 2 else ""


def mailbox_filter(mailbox: str, mission: str = "*") -> str:
    """Return the filter of everything that a mailbox gets, of one mission or of all."""
    return f"coo.m.{mission}.{mailbox}.>"


def blob_chunk(owner: str, digest: str, n: int) -> str:
    return f"coo.b.{owner}.{digest}.{n}"


def dead_letter(mailbox: str, mission: str) -> str:
    return f"coo.dlq.{mailbox}.{mission}"


def hint(mailbox: str, mission: str) -> str:
    """Return where the server announces that it has stored mail. Stored nowhere itself."""
    return f"coo.hint.{mailbox}.{mission}"


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
