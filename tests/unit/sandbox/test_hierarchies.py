"""Where control groups may be made, read from what the kernel shows, in a tree of plain files."""

from pathlib import Path

import pytest

from sandbox.bubblewrap import hierarchy
from sandbox.bubblewrap.hierarchy import Place, places

Machine = tuple[Path, Path, Path]


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    """Stand in for /proc: the mounts, the own groups, and a folder to mount in."""
    mounts, own = tmp_path / "mountinfo", tmp_path / "cgroup"
    monkeypatch.setattr(hierarchy, "_MOUNTS", mounts)
    monkeypatch.setattr(hierarchy, "_OWN", own)
    return mounts, own, tmp_path / "fs"


def group(folder: Path, **files: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name.replace("_", ".", 1)).write_text(text + "\n")
    return folder


def mounted_v2(machine: Machine, own: str, root: str = "/") -> Path:
    mounts, groups, fs = machine
    mounts.write_text(f"30 24 0:27 {root} {fs} rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n")
    groups.write_text(f"0::{own}\n")
    return fs


def test_version_1_is_beneath_ones_own_groups(machine: Machine) -> None:
    mounts, own, fs = machine
    mounts.write_text(
        f"31 24 0:28 / {fs}/memory rw - cgroup cgroup rw,memory\n"
        f"32 24 0:29 / {fs}/pids rw - cgroup cgroup rw,pids\n"
        "33 24 0:30 / /tmp rw - tmpfs tmpfs rw\n"
    )
    own.write_text("8:pids:/\n4:memory:/service/a\n1:name=systemd:/x\n0::/\n")
    memory, pids = group(fs / "memory/service/a"), group(fs / "pids")
    assert list(places()) == [Place(1, memory, pids, (fs / "memory", fs / "pids"))]


def test_in_a_container_the_machines_path_is_taken_off(machine: Machine) -> None:
    fs = mounted_v2(machine, "/docker/abc", root="/docker/abc")
    group(fs, cgroup_subtree_control="memory pids")
    assert list(places()) == [Place(2, fs, fs, (fs,))]


def test_version_2_is_beside_ones_own_group_where_both_are_handed_on(machine: Machine) -> None:
    fs = mounted_v2(machine, "/system.slice/coo.service")
    group(fs, cgroup_subtree_control="cpu")
    slice_ = group(fs / "system.slice", cgroup_subtree_control="cpu memory pids", memory_max="max")
    group(slice_ / "coo.service", cgroup_subtree_control="", memory_max="max")
    assert list(places()) == [Place(2, slice_, slice_, (fs,))]


def test_version_2_never_leaves_a_group_whose_memory_is_limited(machine: Machine) -> None:
    fs = mounted_v2(machine, "/system.slice/coo.service")
    group(fs, cgroup_subtree_control="memory pids")
    group(fs / "system.slice", cgroup_subtree_control="memory pids", memory_max="max")
    group(fs / "system.slice/coo.service", cgroup_subtree_control="", memory_max="1073741824")
    assert list(places()) == []


def test_at_the_top_both_are_switched_on_where_they_can_be(machine: Machine) -> None:
    fs = group(mounted_v2(machine, "/"), cgroup_subtree_control="", cgroup_controllers="cpu memory pids")
    assert list(places()) == [Place(2, fs, fs, (fs,))]
    assert (fs / "cgroup.subtree_control").read_text() == "+memory +pids"


def test_without_the_controllers_there_is_no_place(machine: Machine) -> None:
    fs = group(mounted_v2(machine, "/"), cgroup_subtree_control="", cgroup_controllers="cpu")
    assert (list(places()), (fs / "cgroup.subtree_control").read_text()) == ([], "\n")
