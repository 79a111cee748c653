"""Where the company is, and who asks: the server's address and a principal's credentials."""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from actors.cli.console import ANYBODY, NOT_ENFORCED
from actors.errors import Kind, UserError
from actors.host.datadir import DataDir, DataDirError
from actors.host.session import is_guarded, password, session

if TYPE_CHECKING:
    from bus.jetstream import JetStreamCarrier


def server_url(data_dir: DataDir, option: str | None) -> str:
    """Find the server: the option, NATS_URL, or the company that runs on this data directory.

    Raises:
        UserError: none of them says where it is.
    """
    if url := option or os.environ.get("NATS_URL"):
        return url
    run = data_dir.read_run()
    if run is None:
        raise UserError(
            Kind.UNREACHABLE,
            f"No company is running on {data_dir.path}.",
            "Start it: coo up. Or point to one: --server URL, NATS_URL, --data-dir PATH.",
        )
    return run.url


@asynccontextmanager
async def connected(
    path: Path | None, server: str | None, principal: str = "ceo"
) -> AsyncIterator[JetStreamCarrier]:
    """Connect as a principal for the length of a command, and say plainly why that failed.

    Raises:
        UserError: no server, wrong credentials, missing rights, or a server without the company's streams.
    """
    try:
        data_dir = DataDir(path)
        url = server_url(data_dir, server)
        secret = password(data_dir, principal)
    except DataDirError as error:
        raise UserError(Kind.USAGE, f"{error.what}.", f"{error.fix}.") from error
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
