"""A folder of the host as an order's files, and an outcome's files as a folder: for runs by hand."""

import stat
from pathlib import Path

from sandbox.errors import FolderRefused
from sandbox.obeyed import is_version_control
from sandbox.order import Outcome
from sandbox.policy import MIB, Policy


def read_folder(folder: Path, policy: Policy) -> dict[str, bytes]:
    """Return a folder's regular files by their paths in it; links are not followed, `.git` and the like left.

    Raises:
        FolderRefused: it cannot be read, or holds more than a workspace; no more than that is read.
    """
    if not folder.is_dir():
        raise FolderRefused(f"{folder} is not a folder", "name one that can be read")
    files: dict[str, bytes] = {}
    room = policy.workspace_bytes
    try:
        for path in sorted(folder.rglob("*")):
            found = path.lstat()
            if not stat.S_ISREG(found.st_mode) or any(
                map(is_version_control, path.relative_to(folder).parts)
            ):
                continue
            room -= found.st_size
            if room < 0 or len(files) >= policy.workspace_inodes:
                size = f"{policy.workspace_bytes // MIB} MiB and {policy.workspace_inodes} files"
                raise FolderRefused(
                    f"{folder} does not fit into the workspace, which holds {size}", "send less"
                )
            files[path.relative_to(folder).as_posix()] = path.read_bytes()
    except OSError as error:
        raise FolderRefused(f"cannot read {error.filename}: {error.strerror}", "make it readable") from error
    return files


def write_folder(outcome: Outcome, folder: Path) -> None:
    """Write the files an outcome brought into a folder, made if need be; their names are harmless already.

    Raises:
        FolderRefused: it cannot be written, or a link in it leads out of it.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        root = folder.resolve()
        for file in outcome.files:
            target = root / file.path
            if target.is_symlink() or not target.parent.resolve().is_relative_to(root):
                raise FolderRefused(f"{target} leads out of {folder} through a link", "name an empty folder")
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(file.content)
    except OSError as error:
        raise FolderRefused(
            f"cannot write {error.filename}: {error.strerror}", "name another folder"
        ) from error
