"""The lock of a data directory between two real processes."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from subprocess import Popen

import msgspec
import pytest

from actors.host.alive import process_start
from actors.host.datadir import LOCK_VARIABLE, DataDir, Locked, Run

URL = "nats://127.0.0.1:4222"


@pytest.fixture
def data(tmp_path: Path) -> DataDir:
    found = DataDir(tmp_path / "data")
    found.create()
    return found


HOLDER = """
import sys
from pathlib import Path
from actors.host.datadir import DataDir, Run
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


def test_the_run_file_of_a_dead_process_counts_for_nothing(data: DataDir) -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    start = process_start(child.pid)
    assert start is not None
    mine = Run(url=URL)
    data.write_run(msgspec.structs.replace(mine, pid=child.pid, process_start=start))
    assert data.read_run() is not None
    child.communicate(b"\n")
    assert data.read_run() is None


HANDED = """
import sys, time
from pathlib import Path
from actors.host.datadir import DataDir
with DataDir(Path(sys.argv[1])).lock():
    print("held", flush=True)
    input()
"""


def test_a_lock_is_handed_over_and_ends_with_who_has_it_now(data: DataDir) -> None:
    with data.reserved() as fd:
        child = subprocess.Popen(
            [sys.executable, "-c", HANDED, str(data.path)],
            env={**os.environ, LOCK_VARIABLE: str(fd)},
            pass_fds=(fd,),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        data.sign(fd, child.pid)
        assert child.stdout is not None
        assert child.stdout.readline() == b"held\n"
    with pytest.raises(Locked) as refused, data.lock():
        pass
    assert refused.value.pid == child.pid
    child.communicate(b"\n")
    with data.lock():
        pass
