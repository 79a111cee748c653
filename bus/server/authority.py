"""Who may do what on the server: `nats-server.conf`, derived from a table.

JetStream lives in one account, HUB. Every actor process has an account of its own that imports just what the
table gives it. One shared account is not enough: the server's answers are not checked against permissions,
so a reader could name a mail subject as its reply and have the answer stored as mail.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from bus import subjects
from bus.subjects import BLOB_STREAM, DLQ_STREAM, MAIL_STREAM
from bus.table import ADMIN, OPERATOR, SUPERVISOR, Table

_HEADER = """\
# Made by `python -m actors.host.nats.conf` from the kind table; a test keeps the two equal. Do not edit.
#
# Every actor process has an account of its own and imports from HUB, where JetStream lives, exactly the
# subjects the kind table gives it. Passwords and the store's folder come from nats-server's environment.

server_name: coo
listen: "127.0.0.1:4222"
max_payload: 1MB
max_connections: 1024
write_deadline: "10s"

jetstream {
  store_dir: $COO_NATS_STORE
  # fsync before the ack: an accepted mission survives a power cut. The default acks first.
  sync_interval: always
  max_memory_store: 64MB
  max_file_store: 8GB
}
"""

_ACCOUNTS_HEADER = """\
# The accounts of a COO company: everybody may do what the kind table gives them, and nothing else.
#
# Include this in the configuration of a nats-server 2.11 or newer that has JetStream enabled:
#
#   include "coo-accounts.conf"
#
# The passwords are in the server's environment, each a letter followed by letters and digits; give the same
# variables to `coo up --server URL` (or NATS_URL), and COO_CEO_PASSWORD to whoever types other commands.
# `sync_interval: always` in its jetstream block makes an accepted mission survive a power cut.
#"""


_LIMITS = "max_connections: {connections}, max_subscriptions: 1000, max_payload: 600KB"
"""What one account may take of the server: a taken actor leaves the rest to the others.

A chunk of a blob is the largest payload.
"""

_ACTOR_CONNECTIONS = 32  # sixteen processes of one actor, and those that were just started again
_PERSON_CONNECTIONS = 128  # a command each


@dataclass(frozen=True)
class Grants:
    """What one principal may publish to, split by whether an answer may be many messages.

    `hints` are the subjects it may listen to besides its inbox: they say that there is something to read.
    """

    streams: tuple[str, ...]
    services: tuple[str, ...]
    hints: tuple[str, ...] = ()

    @property
    def all(self) -> tuple[str, ...]:
        return (*self.streams, *self.services)


def principals(table: Table) -> tuple[str, ...]:
    """Return everyone who has credentials."""
    return (ADMIN, OPERATOR, SUPERVISOR, *table.people, *table.processes)


def variable(principal: str) -> str:
    """Return the environment variable with a principal's password."""
    return f"COO_{principal.upper().replace('-', '_')}_PASSWORD"


def grants(table: Table, principal: str) -> Grants:
    """Return what an actor process or a person may publish to."""
    mailboxes = [mailbox.name for mailbox in table.mailboxes_of(principal)]
    senders = mailboxes or [principal]
    reads = [f"$JS.API.DIRECT.GET.{name}" for name in (MAIL_STREAM, BLOB_STREAM, DLQ_STREAM)]
    pulls = [f"$JS.API.CONSUMER.MSG.NEXT.{MAIL_STREAM}.{name}" for name in mailboxes]
    acks = [f"$JS.ACK.{MAIL_STREAM}.{name}.>" for name in mailboxes]
    mail: list[str] = [
        subjects.mail_filter(to=row.to, kind=row.kind, sender=row.sender) for row in table.rows_from(senders)
    ]
    own: list[str] = [subjects.chunk_filter(name) for name in senders]
    dead: list[str] = [subjects.dead_letter_filter(name) for name in mailboxes]
    hints: list[str] = [subjects.hint_filter(name) for name in table.readers_of(principal)]
    return Grants(tuple(reads + pulls), tuple(acks + mail + own + dead), tuple(hints))


def render(table: Table) -> str:
    """Write the server's configuration."""
    return "\n".join([_HEADER, *_both(table)])


def render_accounts(table: Table) -> str:
    """Write the accounts alone, for a server that somebody else configures."""
    names = [f"#   {variable(name)}" for name in principals(table)]
    return "\n".join([_ACCOUNTS_HEADER, *names, "", *_both(table)])


def _both(table: Table) -> Iterable[str]:
    actors = (*table.people, *table.processes)
    return ("accounts {", *_hub(table, actors), *_accounts(table, actors), "}", "")


def _account(principal: str) -> str:
    return principal.upper().replace("-", "_")


def _hub(table: Table, actors: Iterable[str]) -> Iterable[str]:
    yield "  HUB: {"
    yield "    jetstream: enabled"
    yield "    users: ["
    yield from _user(ADMIN, ("$JS.API.>",))
    yield from _user(
        OPERATOR, (subjects.STORES[MAIL_STREAM], "$JS.API.DIRECT.GET.>", "$JS.API.STREAM.INFO.>")
    )
    yield from _user(SUPERVISOR, (f"$JS.ACK.{MAIL_STREAM}.>",))
    yield "    ]"
    yield "    exports: ["
    importers: dict[tuple[bool, str], list[str]] = {}
    for actor in actors:
        granted = grants(table, actor)
        for many, names in ((True, granted.streams), (False, granted.services)):
            for subject in names:
                importers.setdefault((many, subject), []).append(_account(actor))
    for (many, subject), accounts in importers.items():
        kind = ", response_type: stream" if many else ""
        yield f'      {{service: "{subject}"{kind}, accounts: [{", ".join(accounts)}]}}'
    for actor in actors:
        for subject in grants(table, actor).hints:
            yield f'      {{stream: "{subject}", accounts: [{_account(actor)}]}}'
    yield "    ]"
    yield "  }"


def _accounts(table: Table, actors: Iterable[str]) -> Iterable[str]:
    for actor in actors:
        granted = grants(table, actor)
        most = _PERSON_CONNECTIONS if actor in table.people else _ACTOR_CONNECTIONS
        yield f"  {_account(actor)}: {{"
        yield f"    limits: {{{_LIMITS.format(connections=most)}}}"
        yield "    users: ["
        yield from _user(actor, granted.all, granted.hints)
        yield "    ]"
        yield "    imports: ["
        for subject in granted.all:
            yield f'      {{service: {{account: HUB, subject: "{subject}"}}}}'
        for subject in granted.hints:
            yield f'      {{stream: {{account: HUB, subject: "{subject}"}}}}'
        yield "    ]"
        yield "  }"


def _user(principal: str, publish: Iterable[str], hints: Iterable[str] = ()) -> Iterable[str]:
    yield f"      {{user: {principal}, password: ${variable(principal)}, permissions: {{"
    allowed = ", ".join(f'"{subject}"' for subject in publish)
    yield f"        publish: {{allow: [{allowed}]}}"
    heard = ", ".join(f'"{subject}"' for subject in (f"_INBOX_{principal}.>", *hints))
    yield f"        subscribe: {{allow: [{heard}]}}"
    yield "      }}"
