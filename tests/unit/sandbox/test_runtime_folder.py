"""The folder of what programs run in is readable for the user they run as, whatever the umask is."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox.bubblewrap import runtime


@pytest.fixture(autouse=True, params=[0o022, 0o027, 0o077])
def _umask(request: pytest.FixtureRequest) -> Iterator[None]:
    before = os.umask(request.param)
    yield
    os.umask(before)


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_a_runtime_folder_and_what_is_above_it_can_be_entered_by_anybody(tmp_path: Path, depth: int) -> None:
    home = tmp_path.joinpath(*"abc"[:depth])
    runtime._prepare(home)
    made = [home, *home.parents][:depth]
    assert {folder.stat().st_mode & 0o777 for folder in made} == {0o755}
    assert (home / "locks").stat().st_mode & 0o777 == 0o700


def test_a_folder_that_was_there_keeps_its_mode(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine").chmod(0o711)
    runtime._prepare(tmp_path / "mine" / "box")
    assert (tmp_path / "mine").stat().st_mode & 0o777 == 0o711
