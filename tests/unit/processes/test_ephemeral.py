"""Directories that are removed: only those made for it, and only when nobody uses them."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest

from actors.host import ephemeral
from actors.host.datadir import DataDir, DataDirError


@pytest.fixture(autouse=True)
def _temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


def aged(folder: Path) -> Path:
    os.utime(folder / ephemeral.MARK, (0, 0))
    return folder


def test_it_is_there_in_the_block_and_gone_after() -> None:
    with ephemeral.removed_afterwards(None) as folder:
        (folder / "nats").mkdir()
        assert folder.stat().st_mode & 0o777 == 0o700
    assert not folder.exists()


def test_what_holds_something_is_refused_and_kept(tmp_path: Path) -> None:
    (tmp_path / "precious").touch()
    with pytest.raises(DataDirError, match="would remove"), ephemeral.removed_afterwards(tmp_path):
        pass
    assert (tmp_path / "precious").exists()


def test_what_a_dead_company_left_goes_and_what_is_used_or_new_stays() -> None:
    dead, new, used = (aged(ephemeral.make()), ephemeral.make(), aged(ephemeral.make()))
    with DataDir(used).lock():
        ephemeral.make()
        assert (dead.exists(), new.exists(), used.exists()) == (False, True, True)


def test_what_has_no_mark_is_never_removed(tmp_path: Path) -> None:
    other = tmp_path / "coo-ephemeral-looks-like-it"
    other.mkdir()
    ephemeral.make()
    assert other.exists()


@pytest.mark.parametrize("is_copy", [True, False])
def test_what_took_its_place_stays(tmp_path: Path, is_copy: bool) -> None:
    with ephemeral.removed_afterwards(tmp_path / "company") as folder:
        folder.rename(tmp_path / "moved")
        folder.mkdir()
        (folder / (ephemeral.MARK if is_copy else "letters")).touch()
    assert len(list(folder.iterdir())) == 1
    assert (tmp_path / "moved" / ephemeral.MARK).exists()
