"""One lock for each order under bubblewrap."""

import os
import time
from pathlib import Path

from sandbox.bubblewrap.locks import locked, sweep_locks


def test_a_lock_is_one_holders_at_a_time_and_leaves_no_file(tmp_path: Path) -> None:
    with locked(tmp_path / "a") as first, locked(tmp_path / "a") as second, locked(tmp_path / "b") as other:
        assert (first, second, other) == (True, False, True)
    assert list(tmp_path.iterdir()) == []
    with locked(tmp_path / "a") as again:
        assert again


def test_a_lock_is_on_the_file_that_is_there(tmp_path: Path) -> None:
    with locked(tmp_path / "a") as first:
        assert first
        os.unlink(tmp_path / "a")  # as another holder's end does
        with locked(tmp_path / "a") as second, locked(tmp_path / "a") as third:
            assert (second, third) == (True, False)


def test_a_sweep_removes_what_nobody_holds(tmp_path: Path) -> None:
    for name in ("dead", "old"):
        (tmp_path / name).touch()
    os.utime(tmp_path / "old", (time.time() - 100, time.time() - 100))
    with locked(tmp_path / "living"):
        assert sweep_locks(tmp_path, 50) == ("old",)
        assert sweep_locks(tmp_path, 0) == ("dead",)
        assert [path.name for path in tmp_path.iterdir()] == ["living"]
