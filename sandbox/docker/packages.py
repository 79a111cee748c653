"""Python packages for the image: which come with it, and how they are fetched where no registry is."""

import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from sandbox.errors import PackageError
from sandbox.rootfs import PACKAGES, Progress, is_here

_REQUIREMENT = re.compile(
    r"[A-Za-z0-9][A-Za-z0-9._-]*(\[[A-Za-z0-9,._-]+\])?((==|>=|<=|~=)[A-Za-z0-9.+!*]+)?", re.ASCII
)
_PIP_TIMEOUT_S = 600.0


def check_names(names: Sequence[str]) -> None:
    """Refuse what is not the name of a package, with or without a version.

    Raises:
        PackageError: a name is none.
    """
    for name in names:
        if not _REQUIREMENT.fullmatch(name):
            raise PackageError(f"{name!r} is not the name of a package", "write NAME or NAME==VERSION")


def fetch(wanted: Sequence[str], folder: Path, progress: Progress) -> None:
    """Install packages into a folder with this Python's pip: those wanted, and of ours what is not here.

    One of ours that cannot be had is left out.

    Raises:
        PackageError: one that is wanted cannot be had.
    """
    for name in PACKAGES:
        if not is_here(name):
            progress(f"fetching {name}")
            if _install([name], folder):
                progress(f"{name} cannot be had here: left out")
    if wanted:
        progress(f"fetching {' '.join(wanted)}")
        if trouble := _install(wanted, folder):
            raise PackageError(trouble, "see the package's name and version, and the network")


def _install(names: Sequence[str], folder: Path) -> str:
    """Return pip's last word when it failed, else "". Nothing is built: that would run the package's code."""
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    command += ["--only-binary", ":all:", "--upgrade", "--no-compile", "--target", str(folder), *names]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_PIP_TIMEOUT_S, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"pip: {error}"
    said = done.stderr.strip().splitlines() or ["pip failed without a word"]
    return said[-1] if done.returncode else ""
