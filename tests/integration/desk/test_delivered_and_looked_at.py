"""What real git does in a folder that was delivered to: nothing that the deliverable says."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from actors.desk.deliver import deliver

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")

LOOKS = (
    ["status"],
    ["status", "--porcelain", "--ignored"],
    ["log", "-1"],
    ["diff"],
    ["branch"],
    ["ls-files"],
)
GIT = {
    "PATH": os.environ["PATH"],
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "HOME": "/nonexistent",
}
ENDS = ("", " ", ".", ". ", "::$INDEX_ALLOCATION", "\u200c", "\ufeff")


def repository(mark: Path, place: str, *, bare: bool) -> dict[str, bytes]:
    """Return the files of a repository that runs a program when it is looked at."""
    where = "" if bare else "\n\tworktree = .." if place.endswith(".git") else ""
    work = "\n\tworktree = ." if bare else where
    config = f'[core]\n\trepositoryformatversion = 0\n\tbare = false{work}\n\tfsmonitor = "touch {mark} #"\n'
    files = {
        "config": config.encode(),
        "HEAD": b"ref: refs/heads/main\n",
        "objects/info/x": b"",
        "refs/heads/x": b"",
    }
    return {f"{place}/{name}" if place else name: content for name, content in files.items()}


def commondir(mark: Path, place: str) -> dict[str, bytes]:
    """Return a repository whose folder holds little else than where the rest of it is."""
    rest = {
        f"rest/{name}": content for name, content in repository(mark, "", bare=True).items() if name != "HEAD"
    }
    return {f"{place}/HEAD": b"ref: refs/heads/main\n", f"{place}/commondir": b"../rest\n", **rest}


def gitfile(mark: Path, place: str) -> dict[str, bytes]:
    """Return a repository that a file named `.git` points to."""
    return {f"{place}/.git": b"gitdir: ../elsewhere\n", **repository(mark, "elsewhere", bare=True)}


def look(folder: Path) -> None:
    """Look with git at a folder, everything below it and everything above it."""
    below = [folder, *(path for path in folder.rglob("*") if path.is_dir())]
    for place in (*below, folder.parent):
        for words in LOOKS:
            subprocess.run(["git", *words], cwd=place, env=GIT, capture_output=True, check=False, timeout=30)


def hostile(mark: Path) -> list[dict[str, bytes]]:
    draw = random.Random(10)
    spelt = ["".join(draw.choice((c, c.upper())) for c in ".git") + end for end in ENDS for _ in range(2)]
    makers: list[Callable[[Path, str], dict[str, bytes]]] = [commondir, gitfile]
    found = [repository(mark, place, bare=False) for place in (".git", "sub/.git", "GIT~1", *spelt)]
    found += [repository(mark, place, bare=True) for place in ("", "sub", "a/b/x.git")]
    return found + [make(mark, "sub") for make in makers]


@pytest.fixture
def parent(tmp_path: Path) -> Path:
    """A repository of the CEO's own, with the folder to deliver to in it."""
    parent = tmp_path / "work"
    parent.mkdir()
    subprocess.run(["git", "init", "-q", str(parent)], env=GIT, check=True, timeout=30)
    return parent


def test_these_repositories_run_a_program_where_nothing_refuses_them(tmp_path: Path) -> None:
    ran = 0
    for n, files in enumerate(hostile(tmp_path / "mark")):
        for path, content in files.items():
            target = tmp_path / str(n) / "out" / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
        look(tmp_path / str(n) / "out")
        if (tmp_path / "mark").exists():
            ran += 1
            (tmp_path / "mark").unlink()
    assert (
        ran >= 6
    )  # .git here and below, bare here and twice below, with a common folder: the tests below mean something


def test_git_runs_nothing_in_what_was_delivered(tmp_path: Path, parent: Path) -> None:
    for n, files in enumerate(hostile(tmp_path / "mark")):
        out = parent / f"out-{n}"
        delivery = deliver({**files, "work.py": b"pass\n"}, out)
        assert "work.py" in delivery.written
        assert delivery.skipped
        look(out)
        assert not (tmp_path / "mark").exists(), files.keys()


def test_pieces_of_a_repository_delivered_one_after_another_do_not_become_one(
    tmp_path: Path, parent: Path
) -> None:
    out = parent / "out"
    for place in ("", "sub"):
        for path, content in repository(tmp_path / "mark", place, bare=True).items():
            deliver({path: content}, out, force=True)
    look(out)
    assert not (tmp_path / "mark").exists()
    assert not list(out.rglob("HEAD"))


@pytest.mark.parametrize("target", [".git", ".git/hooks", "sub/.GIT/x"])
def test_nothing_is_delivered_into_a_repository_s_own_folder(parent: Path, target: str) -> None:
    from actors.errors import UserError

    before = sorted(parent.rglob("*"))
    with pytest.raises(UserError, match="version control"):
        deliver({"post-checkout": b"#!/bin/sh\n"}, parent / target)
    assert sorted(parent.rglob("*")) == before
