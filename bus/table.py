"""The types of the kind table, and what follows from one.

The table says who may write what to whom. Subjects, consumers, permissions, the server's configuration
and the reference are derived from it; nothing else in the project names a subject.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal, NamedTuple

import msgspec

from bus.bounds import Whole
from bus.errors import BadLetter, BadMail
from bus.subjects import Address

CHECKPOINT = "checkpoint"
ERROR = "error"
BURIED = "buried"
RELEASED = "released"

ADMIN, OPERATOR, SUPERVISOR = "admin", "operator", "supervisor"
"""Who are no actors: who makes the topology, the person who buries and replays, and who gives back mail."""


class Ref(msgspec.Struct, frozen=True, kw_only=True):
    """Where a blob is: who stored it, its sha256 in hex, its size in bytes."""

    owner: str
    digest: str
    size: Whole


class Error(msgspec.Struct, frozen=True, kw_only=True):
    """A mailbox could not decide a mail; a copy is in the dead letters."""

    mailbox: str
    seq: Whole
    reason: str
    detail: str


class Checkpoint(msgspec.Struct, frozen=True, kw_only=True):
    """The fold of a mailbox up to `position`, which is the sequence of the last mail in it.

    `fold` is the state as it is; when that is too big for a body it is null, and the state is in `blob`.
    """

    version: Whole
    position: Whole
    fold: msgspec.Raw = msgspec.Raw(b"null")
    blob: Ref | None = None


class Buried(msgspec.Struct, frozen=True, kw_only=True):
    """The operator has the mail at `seq` of this mailbox skipped by every fold."""

    seq: Whole
    reason: str


class Released(msgspec.Struct, frozen=True, kw_only=True):
    """The operator announces that there is this version of the mailbox's role (`bus.loops.releases`)."""

    version: Whole


class Announced(NamedTuple):
    """The announcements for one role: version by sequence."""

    versions: Mapping[int, int] = {}

    def before(self, seq: int) -> int:
        """Return the greatest version that was announced before a message; 0 if none was."""
        return max((version for at, version in self.versions.items() if at < seq), default=0)


@dataclass(frozen=True, kw_only=True)
class Row:
    """One kind of mail from one sender to one addressee, with the type of its body."""

    kind: str
    sender: str
    to: str
    message: type[msgspec.Struct]


@dataclass(frozen=True, kw_only=True)
class Mailbox:
    """An addressee with a durable consumer, and the process it lives in.

    `orders` are the kinds the consumer delivers; empty means all, and that a role decides it. `per` says what
    a role's state is keyed by. `served_by` is what serves it, as "module:NAME": a role, or for orders a
    function that returns a loop. `needs` names the parts of the settings that its process is handed.
    """

    name: str
    process: str
    orders: tuple[str, ...] = ()
    per: Literal["mission", "company"] = "mission"
    served_by: str = ""
    needs: tuple[str, ...] = ()

    @property
    def is_role(self) -> bool:
        return not self.orders

    @property
    def checkpoints(self) -> bool:
        """Whether it keeps a state of its own in the log."""
        return self.is_role or self.per == "company"


@dataclass(frozen=True, kw_only=True)
class Halts:
    """Which mail says that a mission is paused or over.

    `kind` from `sender` to `to` carries the state; `at` gives the sequence it was decided at, and readers
    take the greatest; `halted` says whether work stops, `final` whether for good. `end` is the kind by which
    `sender` tells a mailbox that a mission is over.
    """

    sender: str
    to: str
    kind: str
    at: Callable[[msgspec.Struct], int]
    halted: Callable[[msgspec.Struct], bool]
    final: Callable[[msgspec.Struct], bool]
    end: str = ""


def rows(
    kind: str, senders: str | Sequence[str], to: str | Sequence[str], message: type[msgspec.Struct]
) -> Iterable[Row]:
    """Write several rows at once: every sender to every addressee."""
    for sender in [senders] if isinstance(senders, str) else senders:
        for addressee in [to] if isinstance(to, str) else to:
            yield Row(kind=kind, sender=sender, to=addressee, message=message)


def own_rows(mailboxes: Iterable[Mailbox], errors_to: str) -> Iterable[Row]:
    """Write the rows that every mailbox has: what it says of its dead letters, and what its loop needs."""
    for mailbox in mailboxes:
        yield Row(kind=ERROR, sender=mailbox.name, to=errors_to, message=Error)
        if mailbox.is_role:
            yield Row(kind=BURIED, sender=OPERATOR, to=mailbox.name, message=Buried)
            yield Row(kind=RELEASED, sender=OPERATOR, to=mailbox.name, message=Released)
        if mailbox.checkpoints:
            yield Row(kind=CHECKPOINT, sender=mailbox.name, to=mailbox.name, message=Checkpoint)


@dataclass(frozen=True)
class Table:
    """Every kind, every mailbox, every principal of a company.

    `errors_to` hears of dead letters, unless a mailbox has a row that says who hears of its own; `people` are
    the principals without a consumer.
    """

    rows: tuple[Row, ...]
    mailboxes: tuple[Mailbox, ...]
    people: tuple[str, ...]
    errors_to: str
    _decoders: dict[type, msgspec.json.Decoder[Any]] = field(default_factory=dict, repr=False, compare=False)

    @cached_property
    def _by_address(self) -> dict[tuple[str, str, str], Row]:
        return {(row.to, row.kind, row.sender): row for row in self.rows}

    @cached_property
    def _kinds(self) -> dict[type, str]:
        return {row.message: row.kind for row in self.rows}

    @cached_property
    def _mailboxes(self) -> dict[str, Mailbox]:
        return {mailbox.name: mailbox for mailbox in self.mailboxes}

    @cached_property
    def processes(self) -> tuple[str, ...]:
        """The actor processes, in the order of their first mailbox."""
        return tuple(dict.fromkeys(mailbox.process for mailbox in self.mailboxes))

    @cached_property
    def roles(self) -> tuple[str, ...]:
        return tuple(mailbox.name for mailbox in self.mailboxes if mailbox.is_role)

    @cached_property
    def _hears(self) -> dict[str, str]:
        return {row.sender: row.to for row in self.rows if row.kind == ERROR}

    def hears(self, mailbox: str) -> str:
        """Return who is told of a mailbox's dead letters."""
        return self._hears.get(mailbox, self.errors_to)

    def needs_of(self, process: str) -> tuple[str, ...]:
        """Return the parts of the settings that a process is handed."""
        return tuple(dict.fromkeys(need for mailbox in self.mailboxes_of(process) for need in mailbox.needs))

    def mailbox(self, name: str) -> Mailbox:
        return self._mailboxes[name]

    def takes_blobs(self, to: str) -> bool:
        """Say whether mail to an addressee may be so big that its body is a blob.

        A mailbox that serves the whole company reads none: one sender's blob must not keep everybody waiting.
        """
        mailbox = self._mailboxes.get(to)
        return mailbox is None or mailbox.per == "mission"

    def mailboxes_of(self, process: str) -> tuple[Mailbox, ...]:
        return tuple(mailbox for mailbox in self.mailboxes if mailbox.process == process)

    def readers_of(self, process: str) -> tuple[str, ...]:
        """Return a process's mailboxes with mail that their consumers leave out: it is read in the log."""
        left_out = {(row.to, row.kind) for row in self.rows if row.kind != CHECKPOINT}
        return tuple(
            mailbox.name
            for mailbox in self.mailboxes_of(process)
            if mailbox.orders
            and any(to == mailbox.name and kind not in mailbox.orders for to, kind in left_out)
        )

    def rows_from(self, senders: Iterable[str]) -> tuple[Row, ...]:
        wanted = set(senders)
        return tuple(row for row in self.rows if row.sender in wanted)

    def row(self, address: Address) -> Row:
        """Return the row of a mail.

        Raises:
            BadMail: the table has no such kind between these two.
        """
        row = self._by_address.get((address.to, address.kind, address.sender))
        if row is None:
            raise BadMail("not_in_table", f"{address.sender} does not send {address.kind!r} to {address.to}")
        return row

    def kind_of(self, sender: str, to: str, message: msgspec.Struct) -> str:
        """Return the kind under which a message travels.

        Raises:
            BadLetter: the sender may not send it to this addressee.
        """
        kind = self._kinds.get(type(message))
        if kind is None or (to, kind, sender) not in self._by_address:
            raise BadLetter(f"{sender} may not send a {type(message).__name__} to {to}")
        return kind

    def decode(self, row: Row, body: bytes) -> msgspec.Struct:
        decoder = self._decoders.get(row.message)
        if decoder is None:
            decoder = self._decoders[row.message] = msgspec.json.Decoder(row.message)
        decoded: msgspec.Struct = decoder.decode(body)
        return decoded
