"""Who works in this company: our own actors, and those of installed packages.

An actor of a package is one value, an `Actor`: named by an entry point of the group `coo.actors`, or as
"module:NAME" in COO_ACTOR_MODULES. Everything else follows from the table that has its rows: the accounts and
rights on the server, the processes and their supervision, `coo-actor NAME`, its settings, `coo verify`.
Our own actors' processes import no package's code: they know our own table, which none may change.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cache
from importlib import import_module

import msgspec

from actors.errors import Kind, UserError
from actors.table import TABLE
from bus import subjects
from bus.server.authority import principals, variable
from bus.table import BURIED, CHECKPOINT, ERROR, RELEASED, Mailbox, Row, Table, own_rows

GROUP = "coo.actors"
VARIABLE = "COO_ACTOR_MODULES"

_KINDS_OF_ALL = (BURIED, CHECKPOINT, ERROR, RELEASED)


@dataclass(frozen=True, kw_only=True)
class Actor:
    """One actor process of a package: its mailboxes, what serves each, and who writes what to them.

    Every mailbox is named `name` or `name-…` and lives in the process `name`. Every row has one of them at
    one end, and one of them or a person at the other: a package gets no rights over our own actors' mail.
    """

    name: str
    mailboxes: tuple[Mailbox, ...]
    rows: tuple[Row, ...] = ()


class BadActor(UserError):
    """What a package declares cannot be an actor of this company."""

    def __init__(self, place: str, why: str) -> None:
        fix = "Correct that package, or leave it out."
        super().__init__(Kind.USAGE, f"The actor {place} cannot be added: {why}.", fix)


@cache
def table() -> Table:
    """Return the company's table, with the actors of installed packages and of COO_ACTOR_MODULES.

    Raises:
        BadActor: one cannot be imported, or is not one that may be added.
    """
    return with_actors(TABLE, _found())  # our own object, where nobody is added


def hire(places: Iterable[str]) -> None:
    """Add actors that are named as "module:NAME", for this process and those that it starts.

    Raises:
        BadActor: as `table`.
    """
    if places := list(places):
        os.environ[VARIABLE] = " ".join([*os.environ.get(VARIABLE, "").split(), *places])
        table.cache_clear()
        table()


def table_of(process: str) -> Table:
    """Return the table that an actor's own process works by.

    Raises:
        BadActor: as `table`.
    """
    return TABLE if process in TABLE.processes else table()


def with_actors(known: Table, found: Iterable[tuple[str, object]]) -> Table:
    """Return a table with further actors, given with the places they are from.

    Dead letters of an actor of a package are told to the CEO; they are no matter of the mission's own actors.

    Raises:
        BadActor: one may not be added.
    """
    for place, actor in found:
        if not isinstance(actor, Actor):
            raise BadActor(place, f"must be an Actor, and is a {type(actor).__name__}")
        if why := _objection(known, actor):
            raise BadActor(place, why)
        rows = (*known.rows, *actor.rows, *own_rows(actor.mailboxes, known.people[0]))
        known = replace(known, rows=rows, mailboxes=(*known.mailboxes, *actor.mailboxes), _decoders={})
    return known


def _found() -> list[tuple[str, object]]:
    """Return the actors of packages, each with what names it; the same one named twice is one."""
    from importlib.metadata import entry_points

    given = os.environ.get(VARIABLE, "").replace(",", " ").split()
    places = dict.fromkeys([*sorted(point.value for point in entry_points(group=GROUP)), *given])
    return [(place, _loaded(place)) for place in places]


def _loaded(place: str) -> object:
    module, _, name = place.partition(":")
    try:
        return getattr(import_module(module), name or "ACTOR")
    except Exception as error:  # a package's own module may fail in any way
        raise BadActor(place, f"cannot be imported: {type(error).__name__}: {error}") from error


def _objection(known: Table, actor: Actor) -> str:
    """Return why an actor may not be added; "" if it may."""
    name, own = actor.name, {mailbox.name for mailbox in actor.mailboxes}
    if not subjects.is_token(name) or not own:
        return f"{name!r} must be a name of lower-case letters, digits and -, with a mailbox"
    taken = {*known.processes, *principals(known), *(mailbox.name for mailbox in known.mailboxes)}
    if own & taken or name in taken or variable(name) in map(variable, principals(known)):
        return f"there is {name} already"
    for mailbox in actor.mailboxes:
        if why := _against_mailbox(name, mailbox):
            return f"mailbox {mailbox.name}: {why}"
    ours = {row.message for row in known.rows}
    for row in actor.rows:
        if why := _against_row(row, own, known.people, ours):
            return f"{row.kind} from {row.sender} to {row.to}: {why}"
    return ""


def _against_mailbox(name: str, mailbox: Mailbox) -> str:
    if not subjects.is_token(mailbox.name) or mailbox.process != name:
        return f"must live in the process {name}"
    if mailbox.name != name and not mailbox.name.startswith(f"{name}-"):
        return f"must be called {name} or {name}-…"
    if ":" not in mailbox.served_by:
        return "served_by must be module:NAME"
    if mailbox.needs:
        return "needs nothing of ours: neither keys of models nor sandboxes; its own settings are given to it"
    return ""


def _against_row(row: Row, own: set[str], people: tuple[str, ...], ours: set[type]) -> str:
    ends = {row.sender, row.to}
    if not ends & own or not ends <= own | set(people):
        return "must be between its own mailboxes, or one of them and the CEO"
    if not subjects.is_token(row.kind) or row.kind in _KINDS_OF_ALL:
        return "must be a kind of its own"
    if not issubclass(row.message, msgspec.Struct) or row.message in ours:
        return "must have a message type of its own"
    return ""
