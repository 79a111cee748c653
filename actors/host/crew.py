"""How each actor's process is started: with its own password and its own part of the settings, no more.

Secrets go through a pipe, before the settings: what is in the environment of a process can be read by every
other of its user.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping

import msgspec

from actors.cast import VARIABLE, table
from actors.host.datadir import DataDir
from actors.host.supervisor import ProcessSpec
from actors.process.credentials import SHARED
from actors.process.hardening import FIRST_UID
from actors.table import TABLE
from bus.server.authority import variable
from config.settings import Settings, key_names
from config.split import part

_SHARED = ("PATH", "HOME", "LANG", "TMPDIR")


def specs(
    settings: Settings, data_dir: DataDir, url: str, passwords: Mapping[str, str], replicas: int = 1
) -> list[ProcessSpec]:
    """Return every process to start: `replicas` of each actor, the second one called `<actor>-2`."""
    return [
        _spec(settings, data_dir, url, role, passwords[role], role if number == 1 else f"{role}-{number}")
        for role in table().processes
        for number in range(1, replicas + 1)
    ]


def _spec(settings: Settings, data_dir: DataDir, url: str, role: str, secret: str, name: str) -> ProcessSpec:
    log = data_dir.log(name)
    # -P: a folder named `actors` where `coo up` is typed must not be what runs.
    argv = [sys.executable, "-P", "-m", "actors.process.main", role, "--server", url]
    argv += ["--secrets", "-", "--config", "-", "--log", str(log), "--strikes", str(data_dir.strikes(role))]
    own = secrets(settings, role, secret, os.environ)
    return ProcessSpec(
        name=name,
        argv=[*argv, "--confine", str(FIRST_UID + table().processes.index(role))],
        env=environment(role, os.environ),
        log=log,
        stdin=msgspec.json.encode(own) + b"\n" + part(settings, role, table().needs_of(role)),
    )


def environment(role: str, environ: Mapping[str, str]) -> dict[str, str]:
    """Return the whole environment of one actor's process; no secret is in it."""
    names: tuple[str, ...] = _SHARED
    if "sandbox" in table().needs_of(role):
        names += ("DOCKER_HOST",)
    if role not in TABLE.processes:  # a package's: it has to find itself
        names += (VARIABLE, "PYTHONPATH")
    return {name: environ[name] for name in names if name in environ}


def secrets(settings: Settings, role: str, secret: str, environ: Mapping[str, str]) -> dict[str, str]:
    """Return all secrets that one actor's process is told: model keys only if it calls models."""
    names = list(key_names(settings)) if "model" in table().needs_of(role) else []
    if not secret:
        names += SHARED
    return {name: environ[name] for name in names if name in environ} | {variable(role): secret}
