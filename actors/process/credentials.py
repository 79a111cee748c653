"""With what somebody logs in who has no password of their own: a server that has no accounts of ours.

The names are those of the `nats` command: NATS_USER and NATS_PASSWORD, NATS_TOKEN, or NATS_CREDS (a file).
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec

SHARED = ("NATS_USER", "NATS_PASSWORD", "NATS_TOKEN", "NATS_CREDS")


class NoNkeys(Exception):
    """A credentials file needs a library that is an extra."""

    def __init__(self) -> None:
        super().__init__("NATS_CREDS needs nkeys: pip install nkeys, or install coo-actor[creds]")


def shared_login(environ: Mapping[str, str]) -> dict[str, str]:
    """Return how everybody logs in who has no password of their own, as options of nats-py; nothing is none.

    Raises:
        NoNkeys: a credentials file is named, and cannot be read without nkeys.
    """
    if path := environ.get("NATS_CREDS"):
        if find_spec("nkeys") is None:
            raise NoNkeys
        return {"user_credentials": path}
    if token := environ.get("NATS_TOKEN"):
        return {"token": token}
    if user := environ.get("NATS_USER"):
        return {"user": user, "password": environ.get("NATS_PASSWORD", "")}
    return {}
