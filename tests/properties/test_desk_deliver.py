"""Delivering files with hostile names onto a real file system."""

from __future__ import annotations

import os
import resource
import tempfile
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.desk.deliver import check_target, deliver, sift
from actors.errors import Kind, UserError

HOSTILE = [
    "",
    "/etc/passwd",
    "../out",
    "a/../../out",
    "./a",
    "a//b",
    "a/",
    "..",
    "a\\b",
    "a\x00b",
    "a\nb",
    "a\x1b[31mb",
    "a\u202eb",
    "a\u200bb",
    "n" * 256,
    "é" * 128,
    "/".join("d" * 17),
]


def tree(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_name_is_skipped_with_a_reason_and_the_others_are_written(
    tmp_path: Path, name: str
) -> None:
    target = tmp_path / "deep" / "out"
    delivery = deliver({name: b"x", "fine.txt": b"y"}, target)
    assert list(delivery.skipped) == [name]
    assert delivery.skipped[name]
    assert delivery.written == ["fine.txt"]
    assert tree(tmp_path) == {"deep/out/fine.txt": b"y"}


@pytest.mark.parametrize(
    ("names", "skipped"),
    [
        (["README", "readme"], "readme"),
        (["straße", "strasse"], "straße"),
        ([unicodedata.normalize("NFC", "é"), unicodedata.normalize("NFD", "é")], "é"),
        (["a", "a/b"], "a/b"),
        (["A", "a/b"], "a/b"),
        (["a-", "a/b/c", "a/b"], "a/b/c"),
    ],
)
def test_names_that_some_file_system_takes_for_the_same_are_not_both_written(
    tmp_path: Path, names: list[str], skipped: str
) -> None:
    delivery = deliver(dict.fromkeys(names, b"x"), tmp_path)
    assert list(delivery.skipped) == [skipped]
    assert set(tree(tmp_path)) == set(names) - {skipped}


@settings(max_examples=40)
@given(st.sets(st.text(st.sampled_from("aAéß/.\\\x00\u0301 "), max_size=6), max_size=6))
def test_every_path_is_either_written_below_the_target_or_skipped(paths: set[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "out"
        delivery = deliver(dict.fromkeys(paths, b"x"), target)
        assert set(delivery.written) | set(delivery.skipped) == paths
        assert set(tree(Path(folder))) == {f"out/{path}" for path in delivery.written}


def test_a_link_among_the_folders_stops_everything_also_by_force(tmp_path: Path) -> None:
    outside, target = tmp_path / "outside", tmp_path / "out"
    outside.mkdir()
    target.mkdir()
    (target / "docs").symlink_to(outside)
    with pytest.raises(UserError) as raised:
        deliver({"a.txt": b"a", "docs/b.txt": b"b"}, target, force=True)
    assert raised.value.kind is Kind.CONFLICT
    assert "docs in its way, which is a link" in raised.value.what
    assert list(outside.iterdir()) == []
    assert tree(target) == {}


def test_a_link_in_the_place_of_a_file_is_never_written_through(tmp_path: Path) -> None:
    victim, target = tmp_path / "victim", tmp_path / "out"
    victim.write_text("precious")
    target.mkdir()
    (target / "a.txt").symlink_to(victim)
    with pytest.raises(UserError):
        deliver({"a.txt": b"a"}, target)
    deliver({"a.txt": b"a"}, target, force=True)
    assert victim.read_text() == "precious"
    assert not (target / "a.txt").is_symlink()
    assert (target / "a.txt").read_bytes() == b"a"


def test_a_hard_link_is_replaced_and_not_written_through(tmp_path: Path) -> None:
    victim, target = tmp_path / "victim", tmp_path / "out"
    victim.write_text("precious")
    target.mkdir()
    os.link(victim, target / "a.txt")
    deliver({"a.txt": b"a"}, target, force=True)
    assert victim.read_text() == "precious"


def test_an_existing_file_stops_everything_before_the_first_is_written(tmp_path: Path) -> None:
    (tmp_path / "b.txt").write_text("mine")
    with pytest.raises(UserError, match=r"b\.txt is there already") as raised:
        deliver({"a.txt": b"a", "b.txt": b"b"}, tmp_path)
    assert raised.value.kind is Kind.CONFLICT
    assert tree(tmp_path) == {"b.txt": b"mine"}


def test_an_identical_file_is_left_alone_and_another_one_replaced_by_force(tmp_path: Path) -> None:
    (tmp_path / "same.txt").write_text("same")
    (tmp_path / "old.txt").write_text("old")
    before = (tmp_path / "same.txt").stat().st_ino
    delivery = deliver({"same.txt": b"same", "old.txt": b"new"}, tmp_path, force=True)
    assert (delivery.written, delivery.unchanged) == (["old.txt"], ["same.txt"])
    assert (tmp_path / "same.txt").stat().st_ino == before
    assert tree(tmp_path) == {"same.txt": b"same", "old.txt": b"new"}


@pytest.mark.parametrize("force", [False, True])
def test_a_folder_in_the_place_of_a_file_stops_everything(tmp_path: Path, force: bool) -> None:
    (tmp_path / "a").mkdir()
    with pytest.raises(UserError, match="a is a folder there"):
        deliver({"a": b"x", "b": b"y"}, tmp_path, force=force)
    assert tree(tmp_path) == {}


def test_a_named_pipe_is_not_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a")
    with pytest.raises(UserError, match="is not a file"):
        deliver({"a": b""}, tmp_path)


def test_a_failure_on_the_way_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir()
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        with pytest.raises(UserError, match="File too large") as raised:
            deliver({"a/b/c": b"1", "kept/d": bytes(2000)}, tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert raised.value.kind is Kind.USAGE
    assert [path.name for path in tmp_path.rglob("*")] == ["kept"]


def test_nothing_but_the_files_is_left_after_a_delivery(tmp_path: Path) -> None:
    deliver({"a/b": b"1", "c": b"2"}, tmp_path)
    assert sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")) == ["a", "a/b", "c"]


def test_many_folders_need_few_open_files(tmp_path: Path) -> None:
    files = {f"{n}/{'/'.join('abcdefghijklmn')}/x": b"" for n in range(150)}
    assert len(deliver(files, tmp_path).written) == 150


def test_the_files_obey_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        deliver({"a": b""}, tmp_path)
    finally:
        os.umask(before)
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("place", ["file/out", "file", "link", "/proc/out", "/proc/self/out"])
def test_a_target_that_cannot_be_written_is_named_before_anything_happens(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    for attempt in (check_target, lambda target: deliver({"a": b""}, target)):
        with pytest.raises(UserError) as raised:
            attempt(tmp_path / place)
        assert raised.value.kind is Kind.USAGE
        assert raised.value.what.startswith("Cannot write to ")
        assert "\n" not in raised.value.what


def test_checking_a_target_leaves_nothing_behind(tmp_path: Path) -> None:
    check_target(tmp_path / "a" / "b")
    check_target(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_sifting_keeps_the_order_of_the_paths() -> None:
    assert sift(["b", "a", "../c"]) == (["a", "b"], {"../c": "the path has an empty, '.' or '..' part"})
