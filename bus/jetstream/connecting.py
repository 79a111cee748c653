"""Connecting as a principal: one try that says what is wrong, then a connection that outlives its server."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from bus.errors import Unreachable, WrongCredentials
from bus.jetstream.address import check_address
from bus.jetstream.carrier import JetStreamCarrier
from bus.jetstream.natspy import Client, apart, nats
from bus.ports import Leases


async def connect(
    url: str,
    *,
    user: str = "",
    password: str = "",
    shared: Mapping[str, str] | None = None,
    name: str = "coo",
    timeout_s: float = 5.0,
    leases: Leases | None = None,
) -> JetStreamCarrier:
    """Connect as a principal; the user's name is also its inbox prefix.

    Without a user, `shared` has nats-py's options for a login that is not the principal's own. `leases` is
    told what this process holds.

    Raises:
        BadAddress: the URL is not one of a server.
        Unreachable: nobody answers at the URL.
        WrongCredentials: the server refuses the user or the password.
    """
    check_address(url)
    carrier = JetStreamCarrier(user or name, f"_INBOX_{user}" if user else "_INBOX")
    carrier.leases = leases or carrier.leases
    credentials = {"user": user, "password": password} if user else dict(shared or {})
    try:
        async with asyncio.timeout(timeout_s):
            await _probe(url, credentials)
            await carrier.open(url, name, credentials)
    except TimeoutError as error:
        raise Unreachable(f"no NATS server answers at {url}") from error
    except (OSError, nats.errors.NoServersError) as error:
        raise Unreachable(f"no NATS server answers at {url}: {error}") from error
    except nats.errors.Error as error:
        if "authorization" in str(error).lower() or "authentication" in str(error).lower():
            raise WrongCredentials(url, user or "(no user)") from error
        raise Unreachable(f"{url}: {error}") from error
    return carrier


async def _probe(url: str, credentials: dict[str, Any]) -> None:
    """Connect once without reconnecting, so that a wrong address or password is an error, not a wait."""

    async def quiet(error: Exception) -> None: ...

    probe = Client()
    try:
        connecting = probe.connect(
            url,
            allow_reconnect=False,
            max_reconnect_attempts=1,  # else nats-py goes on looking for a server until we cut it off
            reconnect_time_wait=0.05,  # type: ignore[arg-type]  # takes floats
            connect_timeout=2,
            error_cb=quiet,
            **credentials,
        )
        await apart(connecting)
    finally:
        await apart(probe.close())
        if probe._transport is not None:  # nats-py leaves it open when the server refused the login
            probe._transport.close()  # type: ignore[no-untyped-call]  # not in nats-py's types
