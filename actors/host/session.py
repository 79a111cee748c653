"""A connection to a known server as one of its principals; what it refuses is said plainly."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING

from actors.errors import Kind, UserError
from actors.host.datadir import DataDir
from actors.process.credentials import NoNkeys, shared_login
from actors.process.logs import to_stderr
from bus.errors import (
    BadAddress,
    NotPermitted,
    NotSetUp,
    PublishRefused,
    StoreRefused,
    Unreachable,
    WrongCredentials,
)
from bus.server.authority import variable

if TYPE_CHECKING:
    from bus.jetstream import JetStreamCarrier


def password(data_dir: DataDir, principal: str) -> str:
    """Return a principal's password: from its variable, else from the data directory, else none."""
    if given := os.environ.get(variable(principal)):
        return given
    return data_dir.stored_credentials().get(principal, "")


async def is_guarded(carrier: JetStreamCarrier, secret: str) -> bool:
    """Say whether the broker can tell who writes: by a login of the principal's own, held to its rights."""
    return bool(secret) and await carrier.is_confined()


@asynccontextmanager
async def session(url: str, principal: str, secret: str) -> AsyncIterator[JetStreamCarrier]:
    """Connect to a known server; without a secret, without a user either.

    Raises:
        UserError: no server there, wrong credentials, missing rights, or no company.
    """
    from bus.jetstream import connect

    to_stderr([secret])
    try:
        carrier = await connect(
            url,
            user=principal if secret else "",
            password=secret,
            shared=shared_login(os.environ),
            name=f"coo-{principal}",
        )
    except NoNkeys as error:
        raise UserError(Kind.USAGE, f"{error}.") from error
    except BadAddress as error:
        raise UserError(Kind.USAGE, f"{error}.", "Write it as nats://HOST:PORT.") from error
    except Unreachable as error:
        fix = "Start everything locally: coo up. Or point elsewhere: --server URL, NATS_URL."
        raise UserError(Kind.UNREACHABLE, f"Cannot reach NATS: {error}.", fix) from error
    except WrongCredentials as error:
        fix = f"Use the data directory of that server (--data-dir), or set {variable(principal)}."
        raise UserError(Kind.UNREACHABLE, f"{error}.", fix) from error
    try:
        with _named_errors(principal):
            yield carrier
    finally:
        await carrier.close()


@contextmanager
def _named_errors(principal: str) -> Iterator[None]:
    """Say plainly what the server refuses to whoever is connected."""
    try:
        yield
    except StoreRefused as error:
        what = f"The server has no room for another message: {error.description}. This one was not stored."
        fix = "Make room there, or raise what its store may hold (max_file_store), and say it again."
        raise UserError(Kind.NO_ROOM, what, fix) from error
    except PublishRefused as error:
        fix = "It is set up otherwise than COO needs. See how: coo setup --check."
        raise UserError(Kind.UNREACHABLE, f"This message was not stored: {error}.", fix) from error
    except NotPermitted as error:
        fix = f"Use credentials that may do this: set {variable(principal)} or --data-dir."
        raise UserError(Kind.UNREACHABLE, f"{error}.", fix) from error
    except NotSetUp as error:
        fix = "Make its streams: coo setup. Or run it all: coo up."
        raise UserError(Kind.UNREACHABLE, f"The server has no company: {error}.", fix) from error
    except WrongCredentials as error:
        raise UserError(Kind.UNREACHABLE, f"{error}.", "They were changed meanwhile: try again.") from error
