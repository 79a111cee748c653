"""`coo --version`: the version of every part, to be pasted into a report."""

from __future__ import annotations

import importlib.metadata
import json
import platform
import sys

from actors.host.nats import provenance
from actors.host.nats.binary import ServerError, find, version
from sandbox.installed import bubblewrap_version, engine_version


def show(*, as_json: bool) -> None:
    """Print the version of every part and where it comes from."""
    told = parts()
    if as_json:
        print(json.dumps(told))
        return
    width = max(map(len, told))
    for name, what in told.items():
        print(f"{name:<{width}}  {what}")


def parts() -> dict[str, str]:
    """Return what COO is made of on this machine, by name."""
    return {
        "coo": importlib.metadata.version("coo-actor"),
        "python": f"{platform.python_version()} ({sys.executable})",
        "nats-py": importlib.metadata.version("nats-py"),
        "nats-server": _nats_server(),
        "docker": engine_version(_docker_host()),
        "bubblewrap": bubblewrap_version(),
        "os": _system(),
    }


def _nats_server() -> str:
    try:
        binary = find(None)
        origin = provenance.check(binary)
        return f"{version(binary)} ({binary}; {origin})"
    except ServerError as error:
        return f"unusable ({error.what})"


def _docker_host() -> str:
    from config.settings import ConfigError, load  # takes long to import

    try:
        return load().sandbox.docker_host
    except ConfigError:
        return "unix:///var/run/docker.sock"


def _system() -> str:
    try:
        name = platform.freedesktop_os_release()["PRETTY_NAME"]
    except (OSError, KeyError):
        name = platform.system()
    return f"{name}, {platform.release()}, {platform.machine()}"
