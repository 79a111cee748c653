"""Whether an endpoint's address can be called at all. No pydantic: an actor asks it before a call, too."""

from urllib.parse import urlsplit


def problem(base_url: str) -> str:
    """Say in one line what is wrong with an endpoint's address, and never repeat it: nothing if it is right.

    An address is written to logs and messages, so nothing secret may stand in it.
    """
    if not base_url.isascii() or not base_url.isprintable() or " " in base_url:
        return "say where the endpoint is, as https://host/v1, in plain ASCII without blanks"
    try:
        parts = urlsplit(base_url)
        host, port = parts.hostname, parts.port
        (host or "").encode("idna")  # as whoever looks it up does
    except ValueError:
        return "say where the endpoint is, as https://host/v1: the host or the port is wrong"
    if parts.scheme not in ("http", "https") or not host:
        return "say where the endpoint is, as https://host/v1"
    if port == 0:
        return "0 is not a port: say where the endpoint is, as https://host:443/v1"
    if "@" in parts.netloc:
        return (
            "a user name or password does not belong in an address: name a variable with the key in key_env"
        )
    if parts.query or parts.fragment or "?" in base_url or "#" in base_url:
        return "an address ends with its path: name a variable with the key in key_env"
    return ""


def place(base_url: str) -> str:
    """Return the scheme, host and port of an address that is right."""
    parts = urlsplit(base_url)
    return f"{parts.scheme}://{parts.netloc}"
