"""Which versions of its roles the operator has announced: a higher one is believed of nobody.

A checkpoint or a letter of a higher version stops a key for everybody older. Who may write one is the role's
own process; so a taken one could stop every mission by a number. The operator, who starts the company, says
in the log which versions there are; only an announcement that stands before a message counts for it, so that
every fold judges alike, whenever it is done.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from bus import subjects
from bus.envelope import Stored, digest, open_letter, readable
from bus.fold import Role
from bus.loops.publisher import publish_surely
from bus.ports import Carrier
from bus.reading import every
from bus.subjects import COMPANY, MAIL_STREAM
from bus.table import OPERATOR, RELEASED, Announced, Released, Table


async def read(carrier: Carrier, role: str) -> Announced:
    """Read what the operator has announced for a role."""
    pattern = subjects.mail_filter(COMPANY, role, RELEASED, OPERATOR)
    found: dict[int, int] = {}
    async for stored in every(carrier, MAIL_STREAM, pattern):
        try:
            found[stored.seq] = msgspec.json.decode(stored.body, type=Released).version
        except (msgspec.DecodeError, UnicodeDecodeError):
            continue  # the fold refuses it
    return Announced(found)


def found_in(table: Table, messages: Iterable[Stored]) -> dict[str, dict[int, int]]:
    """Return what is announced among messages: by role, version by sequence."""
    found: dict[str, dict[int, int]] = {}
    for stored in messages:
        if subjects.parts_of(stored.subject).kind == RELEASED:
            mail = readable(table, stored)
            if mail is not None and isinstance(mail.message, Released):
                found.setdefault(mail.to, {})[stored.seq] = mail.message.version
    return found


def there_was(announced: Mapping[int, int], version: int, seq: int) -> bool:
    """Say whether somebody of a version can have written a message: it was announced, or none was by then."""
    before = [known for at, known in announced.items() if at < seq]
    return not before or version in before


async def announce(operator: Carrier, table: Table, roles: Iterable[Role[Any]]) -> list[str]:
    """Announce, as the operator, what has not been; return what was done, a line each."""
    lines = []
    for role in roles:
        known = max((await read(operator, role.name)).versions.values(), default=0)
        if known < role.version:
            letter = open_letter(
                table,
                sender=OPERATOR,
                to=role.name,
                mission=COMPANY,
                message=Released(version=role.version),
                id=digest("released", role.name, role.version),
                time_ns=operator.now_ns(),
            )
            await publish_surely(operator, letter)
            lines.append(f"version {role.version} of {role.name}: announced")
    return lines
