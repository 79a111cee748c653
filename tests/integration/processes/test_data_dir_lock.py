"""The lock of a data directory between two real processes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from subprocess import Popen

import pytest

from actors.alive import process_start
from actors.datadir import DataDir, Locked

HOLDER = """
import sys
from pathlib import Path
from actors.datadir import DataDir, Run
data = DataDir(Path(sys.argv[1]))
with data.lock():
    data.write_run(Run(url="nats://127.0.0.1:4222"))
    print("held", flush=True)
    input()
"""


async def test_a_second_process_is_told_who_holds_the_data_directory(
    tmp_path: Path, program: Callable[..., Popen[str]]
) -> None:
    holder = program(HOLDER, tmp_path)
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    with pytest.raises(Locked) as refused, DataDir(tmp_path).lock():
        pass
    assert refused.value.pid == holder.pid
    run = DataDir(tmp_path).read_run()
    assert run is not None
    assert (run.pid, run.process_start) == (holder.pid, process_start(holder.pid))
    holder.communicate("\n")
    with DataDir(tmp_path).lock():
        assert DataDir(tmp_path).read_run() is None


async def test_a_killed_holder_leaves_neither_lock_nor_a_running_company(
    tmp_path: Path, program: Callable[..., Popen[str]]
) -> None:
    holder = program(HOLDER, tmp_path)
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    holder.kill()
    holder.wait()
    assert (tmp_path / "run/run.json").exists()
    assert DataDir(tmp_path).read_run() is None
    with DataDir(tmp_path).lock():
        pass
