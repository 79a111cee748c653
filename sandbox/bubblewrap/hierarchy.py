"""Where in the kernel's control groups this process may make groups: cgroup v1 and v2 told apart.

Groups go beneath this process's own, so that what bounds a service bounds its runs too. cgroup v2 lets no
group hold both processes and limited groups; there they go beside it, never past one whose memory is limited.
"""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, NamedTuple

_MOUNTS = Path("/proc/self/mountinfo")
_OWN = Path("/proc/self/cgroup")
_WANTED = frozenset({"memory", "pids"})


class Place(NamedTuple):
    """Name the folders groups are made in; one and the same under version 2. `tops` are their mounts."""

    version: Literal[1, 2]
    memory: Path
    pids: Path
    tops: tuple[Path, ...]


class _Mount(NamedTuple):
    root: str
    point: Path
    kind: str
    options: frozenset[str]


def places() -> Iterator[Place]:
    """Yield where groups may be possible, the best first; whoever takes one has to try it."""
    try:
        mounts = list(_mounts(_MOUNTS.read_text("utf-8", "surrogateescape")))
        own = dict(_own(_OWN.read_text("utf-8", "surrogateescape")))
    except OSError:
        return
    found = [_folder(mounts, own, controller) for controller in ("memory", "pids")]
    if found[0] is not None and found[1] is not None:
        (memory, memory_top), (pids, pids_top) = found[0], found[1]
        yield Place(1, memory, pids, (memory_top, pids_top))
    for mount in mounts:
        if mount.kind == "cgroup2" and (own_folder := _beneath(mount, own.get("", ""))) is not None:
            yield from (Place(2, one, one, (mount.point,)) for one in _upwards(own_folder, mount.point))


def _mounts(text: str) -> Iterator[_Mount]:
    """Read mountinfo (proc(5)): fields 4 and 5, behind the dash the type and the super block's options."""
    for line in text.splitlines():
        before, _, after = line.partition(" - ")
        kind, _, rest = after.partition(" ")
        if kind in ("cgroup", "cgroup2"):
            fields = before.split(" ")
            options = rest.rpartition(" ")[2].split(",")
            yield _Mount(fields[3], Path(fields[4]), kind, frozenset(options))


def _own(text: str) -> Iterator[tuple[str, str]]:
    """Read the groups this process is in, by controller; version 2 has the name ""."""
    for line in text.splitlines():
        _, controllers, path = line.split(":", 2)
        for controller in controllers.split(","):
            yield controller, path


def _folder(mounts: list[_Mount], own: dict[str, str], controller: str) -> tuple[Path, Path] | None:
    for mount in mounts:
        if mount.kind == "cgroup" and controller in mount.options and controller in own:
            folder = _beneath(mount, own[controller])
            return None if folder is None else (folder, mount.point)
    return None


def _beneath(mount: _Mount, path: str) -> Path | None:
    """Return a group's folder; a container sees a part of the hierarchy only, or the paths of the machine."""
    inner = path.removeprefix(mount.root) if mount.root != "/" else path
    folder = mount.point / inner.lstrip("/")
    return folder if folder.is_dir() and ".." not in folder.parts else None


def _upwards(folder: Path, top: Path) -> Iterator[Path]:
    while True:
        if _hands_on(folder, may_switch_on=folder == top):
            yield folder
        if folder == top or _word(folder / "memory.max") not in ("", "max"):
            return
        folder = folder.parent


def _hands_on(folder: Path, *, may_switch_on: bool) -> bool:
    """Tell whether groups made in a folder have both controllers; at the top they may be switched on."""
    if set(_word(folder / "cgroup.subtree_control").split()) >= _WANTED:
        return True
    if not may_switch_on or not set(_word(folder / "cgroup.controllers").split()) >= _WANTED:
        return False
    with contextlib.suppress(OSError):
        (folder / "cgroup.subtree_control").write_text("+memory +pids", "ascii")
        return True
    return False


def _word(file: Path) -> str:
    try:
        return file.read_text("ascii").strip()
    except OSError:
        return ""
