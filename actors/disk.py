"""Whether a folder can be written: asked of its file system, or tried."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path


def shortage(folder: Path, room_bytes: int) -> str:
    """Return what a folder's file system lacks for a new file of this size, in its own words; "" is nothing.

    A file system without a fixed number of inodes says that it has none in all, and lacks none.
    """
    try:
        disk = os.statvfs(folder)
    except OSError as error:
        return _words(error)
    root = os.geteuid() == 0
    if disk.f_flag & os.ST_RDONLY:
        return "read-only file system"
    if disk.f_frsize * (disk.f_bfree if root else disk.f_bavail) < room_bytes:
        return "no space left on device"
    if disk.f_files and not (disk.f_ffree if root else disk.f_favail):
        return "no inodes left on device"
    return ""


def unwritable(folder: Path, room_bytes: int) -> str:
    """Write a file of this size to a folder and to its disk; return what was in the way, "" if nothing."""
    if why := shortage(folder, room_bytes):
        return why
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(bytes(room_bytes))
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        return _words(error)
    return ""


def _words(error: OSError) -> str:
    return (error.strerror or str(error)).lower()
