"""Where the company is, and who asks: the server's address and a principal's credentials."""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from actors.credentials import NoNkeys, shared_login
from actors.datadir import DataDir, DataDirError
from actors.desk.console import ANYBODY, NOT_ENFORCED
from actors.desk.errors import DeskError, Exit
from actors.desk.main import log_to_stderr
from bus.authority import variable
from bus.errors import (
    BadAddress,
    NotPermitted,
    NotSetUp,
    PublishRefused,
    StoreRefused,
    Unreachable,
    WrongCredentials,
)

if TYPE_CHECKING:
    from bus.jetstream import JetStreamCarrier


def server_url(data_dir: DataDir, option: str | None) -> str:
    """Find the server: the option, NATS_URL, or the company that runs on this data directory.

    Raises:
        DeskError: none of them says where it is.
    """
    if url := option or os.environ.get("NATS_URL"):
        return url
    run = data_dir.read_run()
    if run is None:
        raise DeskError(
            Exit.UNREACHABLE,
            f"No company is running on {data_dir.path}.",
            "Start it: coo up. Or point to one: --server URL, NATS_URL, --data-dir PATH.",
        )
    return run.url


def password(data_dir: DataDir, principal: str) -> str:
    """Return a principal's password: from its variable, else from the data directory, else none."""
    if given := os.environ.get(variable(principal)):
        return given
    return data_dir.stored_credentials().get(principal, "")


@asynccontextmanager
async def connected(
    path: Path | None, server: str | None, principal: str = "ceo"
) -> AsyncIterator[JetStreamCarrier]:
    """Connect as a principal for the length of a command, and say plainly why that failed.

    Raises:
        DeskError: no server, wrong credentials, missing rights, or a server without the company's streams.
    """
    try:
        data_dir = DataDir(path)
        url = server_url(data_dir, server)
        secret = password(data_dir, principal)
    except DataDirError as error:
        raise DeskError(Exit.USAGE, f"{error.what}.", f"{error.fix}.") from error
    async with session(url, principal, secret) as carrier:
        carrier.guarded = _is_ours(data_dir, url, secret) or await is_guarded(carrier, secret)
        if not carrier.guarded:
            print(f"coo: {NOT_ENFORCED}: {ANYBODY}", file=sys.stderr, flush=True)
        yield carrier


def _is_ours(data_dir: DataDir, url: str, secret: str) -> bool:
    """Say whether `coo up` runs that server, with accounts; then it need not be asked."""
    run = data_dir.read_run()
    return bool(secret and run and run.server_pid and run.url == url)


def authority(carrier: JetStreamCarrier) -> str:
    """Return in a word whether the broker enforces who may write what."""
    return "enforced" if carrier.guarded else "not enforced"


async def is_guarded(carrier: JetStreamCarrier, secret: str) -> bool:
    """Say whether the broker can tell who writes: by a login of the principal's own, held to its rights."""
    return bool(secret) and await carrier.is_confined()


@asynccontextmanager
async def session(url: str, principal: str, secret: str) -> AsyncIterator[JetStreamCarrier]:
    """Connect to a known server; without a secret, without a user either.

    Raises:
        DeskError: as `connected`.
    """
    from bus.jetstream import connect

    log_to_stderr([secret])
    try:
        carrier = await connect(
            url,
            user=principal if secret else "",
            password=secret,
            shared=shared_login(os.environ),
            name=f"coo-{principal}",
        )
    except NoNkeys as error:
        raise DeskError(Exit.USAGE, f"{error}.") from error
    except BadAddress as error:
        raise DeskError(Exit.USAGE, f"{error}.", "Write it as nats://HOST:PORT.") from error
    except Unreachable as error:
        fix = "Start everything locally: coo up. Or point elsewhere: --server URL, NATS_URL."
        raise DeskError(Exit.UNREACHABLE, f"Cannot reach NATS: {error}.", fix) from error
    except WrongCredentials as error:
        fix = f"Use the data directory of that server (--data-dir), or set {variable(principal)}."
        raise DeskError(Exit.UNREACHABLE, f"{error}.", fix) from error
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
        raise DeskError(Exit.NO_ROOM, what, fix) from error
    except PublishRefused as error:
        fix = "It is set up otherwise than COO needs. See how: coo setup --check."
        raise DeskError(Exit.UNREACHABLE, f"This message was not stored: {error}.", fix) from error
    except NotPermitted as error:
        fix = f"Use credentials that may do this: set {variable(principal)} or --data-dir."
        raise DeskError(Exit.UNREACHABLE, f"{error}.", fix) from error
    except NotSetUp as error:
        fix = "Make its streams: coo setup. Or run it all: coo up."
        raise DeskError(Exit.UNREACHABLE, f"The server has no company: {error}.", fix) from error
    except WrongCredentials as error:
        raise DeskError(Exit.UNREACHABLE, f"{error}.", "They were changed meanwhile: try again.") from error
