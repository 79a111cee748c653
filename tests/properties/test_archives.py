"""Tar streams in and out, hostile ones included."""

import hashlib
import io
import tarfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox import File, Policy, Skipped
from sandbox.archive import MAX_SKIPPED, Collector, shown

POLICY = Policy(files_bytes=1000, files_count=3, file_bytes=600)


def archive(*entries: tarfile.TarInfo | tuple[str, bytes]) -> bytes:
    """Return a tar as an engine sends it: every name begins with the workspace's."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", errors="surrogateescape") as tar:
        for entry in entries:
            if isinstance(entry, tarfile.TarInfo):
                tar.addfile(entry)
            else:
                name, content = entry
                member = tarfile.TarInfo(f"workspace/{name}")
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))
    return out.getvalue()


def special(name: str, kind: bytes) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(f"workspace/{name}")
    entry.type, entry.linkname = kind, "/etc/passwd"
    return entry


def collected(stream: bytes, files_in: dict[str, bytes] | None = None, policy: Policy = POLICY) -> Collector:
    collector = Collector(policy, files_in or {})
    collector.take(io.BytesIO(stream).read)
    return collector


def file(path: str, content: bytes) -> File:
    return File(path=path, content=content, sha256=hashlib.sha256(content).hexdigest(), size=len(content))


def test_only_new_and_changed_files_come_out() -> None:
    found = collected(
        archive(("same", b"1"), ("changed", b"2"), ("new/er", b"3")),
        {"same": b"1", "changed": b"1", "gone": b""},
    )
    assert found.files == (file("changed", b"2"), file("new/er", b"3"))
    assert (found.skipped, found.limits_hit) == ((), frozenset())


def test_what_is_not_a_regular_file_is_skipped_with_a_reason() -> None:
    found = collected(
        archive(
            special("link", tarfile.SYMTYPE),
            special("hard", tarfile.LNKTYPE),
            special("pipe", tarfile.FIFOTYPE),
            special("disk", tarfile.BLKTYPE),
            special("folder", tarfile.DIRTYPE),
            ("good", b"1"),
        )
    )
    assert found.files == (file("good", b"1"),)
    assert found.skipped == (
        Skipped(path="link", reason="a symbolic link"),
        Skipped(path="hard", reason="a second name of another file"),
        Skipped(path="pipe", reason="a named pipe"),
        Skipped(path="disk", reason="a device"),
    )


def test_odd_names_are_skipped_and_shown_escaped() -> None:
    found = collected(archive(("a\nb", b"1"), ("../../x", b"1"), ("bad\udcff", b"1")))
    assert [one.path for one in found.skipped] == ["a\\nb", "../../x", "bad\\udcff"]
    assert found.files == ()


def test_each_cap_skips_what_is_beyond_it_and_is_named() -> None:
    large = collected(archive(("large", b"x" * 601), ("small", b"1")))
    assert (large.files, large.limits_hit) == ((file("small", b"1"),), frozenset({"file_bytes"}))
    together = collected(archive(("a", b"x" * 600), ("b", b"y" * 600), ("c", b"z")))
    assert ([one.path for one in together.files], together.limits_hit) == (
        ["a", "c"],
        frozenset({"files_bytes"}),
    )
    many = collected(archive(*((f"{n}", b"x%d" % n) for n in range(5))))
    assert ([one.path for one in many.files], many.limits_hit) == (
        ["0", "1", "2"],
        frozenset({"files_count"}),
    )


def test_an_input_above_the_caps_that_did_not_change_hits_none() -> None:
    found = collected(archive(("large", b"x" * 900)), {"large": b"x" * 900})
    assert (found.files, found.skipped, found.limits_hit) == ((), (), frozenset())


def test_a_stream_longer_than_any_workspace_is_cut_off() -> None:
    policy = Policy(workspace_bytes=1000, workspace_inodes=4)
    found = collected(archive(("a", b"1"), ("zeros", b"\0" * 50_000), ("b", b"2")), policy=policy)
    assert found.files == (file("a", b"1"),)
    assert found.limits_hit == {"workspace_bytes"}


def test_a_million_odd_names_do_not_fill_the_answer() -> None:
    found = collected(archive(*(special(f"l{n}", tarfile.SYMTYPE) for n in range(MAX_SKIPPED + 50))))
    assert len(found.skipped) == MAX_SKIPPED


def test_a_sparse_file_of_any_size_is_not_read() -> None:
    entry = tarfile.TarInfo("workspace/sparse")
    entry.pax_headers = {"GNU.sparse.size": str(10**15), "GNU.sparse.map": f"{10**15},0"}
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        tar.addfile(entry)
    assert collected(out.getvalue()).files == ()


def test_a_chain_of_extended_headers_is_damage_not_a_crash() -> None:
    header = tarfile.TarInfo("workspace/x")
    header.type = tarfile.XHDTYPE
    found = collected(header.tobuf(tarfile.USTAR_FORMAT) * 3000)
    assert found.files == ()
    assert found.skipped[0].reason.startswith("the archive is damaged")


@given(st.binary(max_size=2048), st.integers(0, 4000), st.integers(0, 255))
def test_any_bytes_give_a_result(noise: bytes, place: int, value: int) -> None:
    collected(noise)
    broken = bytearray(archive(("a", b"1" * 600), special("l", tarfile.SYMTYPE), ("b", b"2")))
    broken[place % len(broken)] = value
    collected(bytes(broken))


@pytest.mark.parametrize(
    ("name", "readable"), [("ä b", "ä b"), ("a\x1b[2Jb", "a\\x1b[2Jb"), ("x" * 300, "x" * 200)]
)
def test_a_shown_name_is_printable_and_short(name: str, readable: str) -> None:
    assert shown(name) == readable
