"""Data directories that live as long as one company: made for it, and removed when it ends.

A mark in the directory says that it may be removed; nothing without one ever is. What a killed company left
in the temporary folder goes when the next one is made: its lock is free then.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from actors.host.datadir import DataDirError, Unusable, short
from actors.host.datalock import moved_from, place_of

MARK = "ephemeral"
_PREFIX = "coo-ephemeral-"
_YOUNG_S = 60.0
"""A directory without a lock is left alone this long: its company may be about to take it."""


def make(path: Path | None = None) -> Path:
    """Make an ephemeral data directory, in the temporary folder or at `path`, which must be new or empty.

    One that bears the mark already is taken as it is.

    Raises:
        DataDirError: there is something else at `path`, or the folder cannot be made.
    """
    _sweep()
    try:
        folder = Path(tempfile.mkdtemp(prefix=_PREFIX)) if path is None else path.expanduser().absolute()
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if (folder / MARK).exists():
            return folder
        if any(folder.iterdir()):
            raise DataDirError(
                f"{short(folder)} holds something, which --ephemeral would remove at the end",
                "Name no data directory (--data-dir, COO_DATA_DIR), or an empty one",
            )
        (folder / MARK).touch(mode=0o600)
    except OSError as error:
        raise Unusable(path or Path(tempfile.gettempdir()), error.strerror or str(error)) from error
    return folder


@contextmanager
def removed_afterwards(path: Path | None) -> Iterator[Path]:
    """Make an ephemeral data directory for the length of a block; what took its place meanwhile stays.

    Raises:
        DataDirError: as `make`.
    """
    folder = make(path)
    place = place_of(folder)
    try:
        yield folder
    finally:
        if not moved_from(place, folder):
            shutil.rmtree(folder, ignore_errors=True)


def _sweep() -> None:
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        with suppress(OSError):
            if _is_ours(folder) and _is_over(folder):
                shutil.rmtree(folder, ignore_errors=True)


def _is_ours(folder: Path) -> bool:
    return not folder.is_symlink() and folder.stat().st_uid == os.getuid() and (folder / MARK).is_file()


def _is_over(folder: Path) -> bool:
    locks = [folder / "lock", folder / "run" / "nats-server.lock"]
    if not any(lock.exists() for lock in locks):
        return time.time() - (folder / MARK).stat().st_mtime > _YOUNG_S
    return all(_is_free(lock) for lock in locks if lock.exists())


def _is_free(lock: Path) -> bool:
    with lock.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True
