"""The types of the kind table, and what follows from one.

The table says who may write what to whom. Subjects, consumers, permissions, the server's configuration
and the reference are derived from it; nothing else in the project names a subject.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
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
    """The operator announces that there is this version of the mailbox's role (`bus.releases`)."""

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

    `orders` are the kinds the consumer delivers; empty means all. `per` says what a role's state is
    keyed by.
    """

    name: str
    process: str
    orders: tuple[str, ...] = ()
    per: Literal["mission", "company"] = "mission"


def rows(
    kind: str, senders: str | Sequence[str], to: str | Sequence[str], message: type[msgspec.Struct]
) -> Iterable[Row]:
    """Write several rows at once: every sender to every addressee."""
    for sender in [senders] if isinstance(senders, str) else senders:
        for addressee in [to] if isinstance(to, str) else to:
            yield Row(kind=kind, sender=sender, to=addressee, message=message)


@dataclass(frozen=True)
class Table:
    """Every kind, every mailbox, every principal of a company.

    `errors_to` is the mailbox that hears of dead letters, `people` the principals without a consumer.
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

    def mailbox(self, name: str) -> Mailbox:
        return self._mailboxes[name]

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
