"""Folders of the host, for runs by hand."""

from pathlib import Path

import pytest

from sandbox import File, FolderRefused, Outcome, Policy
from sandbox.folders import read_folder, write_folder

POLICY = Policy(workspace_bytes=1000, workspace_inodes=3)


def outcome(*paths: str) -> Outcome:
    files = tuple(File(path=path, content=b"x", sha256="", size=1) for path in paths)
    return Outcome(status="ok", backend="docker", files=files)


def test_a_folder_is_its_regular_files(tmp_path: Path) -> None:
    (tmp_path / "a/b").mkdir(parents=True)
    (tmp_path / "a/b/c").write_bytes(b"1")
    (tmp_path / "link").symlink_to("/etc/passwd")
    assert read_folder(tmp_path, POLICY) == {"a/b/c": b"1"}


def test_more_than_a_workspace_is_refused_before_it_is_read(tmp_path: Path) -> None:
    with (tmp_path / "huge").open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(FolderRefused, match="does not fit into the workspace"):
        read_folder(tmp_path, POLICY)


def test_too_many_files_are_refused(tmp_path: Path) -> None:
    for number in range(4):
        (tmp_path / str(number)).touch()
    with pytest.raises(FolderRefused, match="does not fit into the workspace"):
        read_folder(tmp_path, POLICY)


def test_what_is_no_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FolderRefused, match="is not a folder"):
        read_folder(tmp_path / "none", POLICY)
    (tmp_path / "file").touch()
    with pytest.raises(FolderRefused, match="cannot write"):
        write_folder(outcome("a"), tmp_path / "file")


def test_an_outcomes_files_become_a_folder(tmp_path: Path) -> None:
    write_folder(outcome("a/b", "c"), tmp_path / "new/er")
    assert (tmp_path / "new/er/a/b").read_bytes() == b"x"
    assert (tmp_path / "new/er/c").read_bytes() == b"x"


@pytest.mark.parametrize("path", ["link", "folder/file"])
def test_nothing_is_written_through_a_link(tmp_path: Path, path: str) -> None:
    inside, outside = tmp_path / "in", tmp_path / "out"
    inside.mkdir()
    outside.mkdir()
    (inside / "link").symlink_to(outside / "file")
    (inside / "folder").symlink_to(outside)
    with pytest.raises(FolderRefused, match="through a link"):
        write_folder(outcome(path), inside)
    assert list(outside.iterdir()) == []
