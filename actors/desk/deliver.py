"""Writing a deliverable to a folder of the CEO's, whatever its paths say.

Paths come from models. They are judged before anything is written, every folder is opened without following
links, and every file appears whole under its name or not at all: first all are written under other names,
then all are renamed. A path that nobody should write is skipped with its reason; something in the way stops
the whole delivery before it begins.
"""

from __future__ import annotations

import os
import secrets
import stat
import tempfile
import unicodedata
from collections.abc import Iterable, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path

from actors.errors import Kind, UserError
from actors.plain import plain
from sandbox.obeyed import is_version_control
from sandbox.paths import refusal

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_EXISTING = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


@dataclass
class Delivery:
    """What became of each file: written, there already with the same content, or skipped and why."""

    written: list[str] = field(default_factory=list)
    unchanged: list[str] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)


def sift(paths: Iterable[str]) -> tuple[list[str], dict[str, str]]:
    """Return the paths that may be written, and the others with the reason, from the names alone.

    Of paths that some file system holds to be the same (case, Unicode form) the first in order stays.
    """
    kept: list[str] = []
    refused: dict[str, str] = {}
    files: dict[str, str] = {}
    folders: dict[str, str] = {}
    for path in sorted(paths):
        parts = _alike(path).split("/")
        above = ["/".join(parts[:n]) for n in range(1, len(parts))]
        if reason := refusal(path):
            refused[path] = reason
        elif twin := files.get(_alike(path)):
            refused[path] = f"the name differs from {twin} only in case or form"
        elif inside := folders.get(_alike(path)):
            refused[path] = f"it is also the folder of {inside}"
        elif blocking := next((files[folder] for folder in above if folder in files), None):
            refused[path] = f"{blocking}, one of its folders, is also a file"
        else:
            kept.append(path)
            files[_alike(path)] = path
            folders.update(dict.fromkeys(above, path))
    return kept, refused


def _alike(path: str) -> str:
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", path).casefold())


def check_target(target: Path) -> None:
    """Find out, before anything is spent, whether files can be written there; leaves nothing behind.

    Raises:
        UserError: they cannot, or the folder belongs to a version control system.
    """
    try:
        _check_outside_repositories(target)
        place = target.absolute()
        while not place.exists() and place != place.parent:
            if place.is_symlink():
                raise FileNotFoundError(0, "it is a link to nothing")
            place = place.parent
        with tempfile.TemporaryFile(dir=place):
            pass
    except OSError as error:
        raise _unwritable(target, error) from error


def _check_outside_repositories(target: Path) -> None:
    if any(map(is_version_control, target.resolve().parts)):
        raise PermissionError(0, "it belongs to a version control system, which would obey what is there")


def _unwritable(target: Path, error: OSError) -> UserError:
    what = f"Cannot write to {plain(str(target), 300)}: {error.strerror or error}."
    return UserError(Kind.USAGE, what, "Name another folder with --out.")


def deliver(files: Mapping[str, bytes], target: Path, *, force: bool = False) -> Delivery:
    """Write files below a folder, made if missing. With `force`, files of another content are replaced.

    Raises:
        UserError: something is in the way, or the folder cannot be written; nothing was changed then.
    """
    kept, refused = sift(files)
    delivery = Delivery(skipped=refused)
    try:
        _check_outside_repositories(target)
        target.mkdir(parents=True, exist_ok=True)
        with ExitStack() as stack:
            root = os.open(target, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            stack.callback(os.close, root)
            obstacles = {path: why for path in kept if (why := _obstacle(root, path, files[path], force))}
            if obstacles:
                raise _in_the_way(target, obstacles)
            delivery.unchanged = [path for path in kept if _holds(root, path, files[path])]
            delivery.written = [path for path in kept if path not in delivery.unchanged]
            _write_all(root, {path: files[path] for path in delivery.written})
    except OSError as error:
        raise _unwritable(target, error) from error
    return delivery


def _in_the_way(target: Path, obstacles: Mapping[str, str]) -> UserError:
    path, why = next(iter(obstacles.items()))
    more = f" (and {len(obstacles) - 1} more)" if len(obstacles) > 1 else ""
    what = f"Nothing was written to {plain(str(target), 300)}: {plain(path, 120)} {why}{more}."
    return UserError(Kind.CONFLICT, what, "Name an empty folder with --out, or replace files with --force.")


# -- looking --------------------------------------------------------------------------------------------


def _obstacle(root: int, path: str, content: bytes, force: bool) -> str:
    """Say what is in the way of a file, or nothing."""
    *above, name = path.split("/")
    with ExitStack() as stack:
        folder = root
        for part in above:
            try:
                folder = _enter(stack, folder, part)
            except FileNotFoundError:
                return ""
            except PermissionError:
                raise
            except OSError:
                return f"has {plain(part, 80)} in its way, which is a link or no folder"
        try:
            found = os.stat(name, dir_fd=folder, follow_symlinks=False)
        except FileNotFoundError:
            return ""
        if stat.S_ISDIR(found.st_mode):
            return "is a folder there"
        if force or _same(folder, name, found, content):
            return ""
        return (
            "is there already" if stat.S_ISREG(found.st_mode) else "is there as something that is not a file"
        )


def _holds(root: int, path: str, content: bytes) -> bool:
    """Say whether a file is there with exactly this content."""
    *above, name = path.split("/")
    with ExitStack() as stack, suppress(OSError):
        folder = root
        for part in above:
            folder = _enter(stack, folder, part)
        return _same(folder, name, os.stat(name, dir_fd=folder, follow_symlinks=False), content)
    return False


def _same(folder: int, name: str, found: os.stat_result, content: bytes) -> bool:
    if not stat.S_ISREG(found.st_mode) or found.st_size != len(content):
        return False
    with os.fdopen(os.open(name, _EXISTING, dir_fd=folder), "rb") as file:
        return file.read(len(content) + 1) == content


def _enter(stack: ExitStack, folder: int, part: str) -> int:
    inner = os.open(part, _FOLDER, dir_fd=folder)
    stack.callback(os.close, inner)
    return inner


# -- writing --------------------------------------------------------------------------------------------


def _write_all(root: int, files: Mapping[str, bytes]) -> None:
    """Write every file under another name, then rename all; on an error take back what was made."""
    made: list[list[str]] = []
    parts = f".coo-{secrets.token_hex(8)}"
    with ExitStack() as stack:
        os.mkdir(parts, 0o700, dir_fd=root)
        stack.callback(_remove_folder, root, [parts])
        part = _enter(stack, root, parts)
        try:
            for n, (path, content) in enumerate(files.items()):
                stack.callback(_remove_file, part, str(n))
                _write(part, str(n), content)
                made += _make_folders(root, path.split("/")[:-1])
            for n, path in enumerate(files):
                _rename(part, str(n), root, path)
        except BaseException:
            for folder in reversed(made):
                _remove_folder(root, folder)
            raise


def _write(folder: int, name: str, content: bytes) -> None:
    with os.fdopen(os.open(name, _NEW, 0o666, dir_fd=folder), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _make_folders(root: int, parts: list[str]) -> list[list[str]]:
    """Make the folders of a path that are missing, and return those."""
    made = []
    with ExitStack() as stack:
        folder = root
        for depth, part in enumerate(parts):
            with suppress(FileExistsError):
                os.mkdir(part, dir_fd=folder)
                made.append(parts[: depth + 1])
            folder = _enter(stack, folder, part)
    return made


def _rename(source: int, name: str, root: int, path: str) -> None:
    *above, last = path.split("/")
    with ExitStack() as stack:
        folder = root
        for part in above:
            folder = _enter(stack, folder, part)
        os.replace(name, last, src_dir_fd=source, dst_dir_fd=folder)


def _remove_file(folder: int, name: str) -> None:
    with suppress(OSError):  # it was renamed, or never made
        os.unlink(name, dir_fd=folder)


def _remove_folder(root: int, parts: list[str]) -> None:
    with ExitStack() as stack, suppress(OSError):  # somebody else put something into it
        folder = root
        for part in parts[:-1]:
            folder = _enter(stack, folder, part)
        os.rmdir(parts[-1], dir_fd=folder)
