"""Whether a text is the address of a NATS server; nats-py finds that out only on its way."""

from __future__ import annotations

from urllib.parse import urlsplit

from bus.errors import BadAddress


def check_address(url: str) -> None:
    """Return if a URL, or a bare host and port, names a server that could be asked.

    Raises:
        BadAddress: it does not.
    """
    try:
        address = urlsplit(url if "://" in url else f"nats://{url}")
        port, host = address.port, address.hostname
    except ValueError as error:  # a port above 65535 or not a number, a bracket too few
        raise BadAddress(f"{url} is not the address of a NATS server: {error}") from error
    if not host or port == 0:
        missing = "host" if not host else "port"
        raise BadAddress(f"{url} is not the address of a NATS server: it names no {missing}")
