"""What becomes of a supervisor's children when the supervisor itself is interrupted or killed."""

from __future__ import annotations

import os
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path
from subprocess import Popen

Program = Callable[..., Popen[str]]
Until = Callable[[Callable[[], object]], Awaitable[None]]
Lives = Callable[[int], bool]

OBEY = """
import signal, sys
signal.signal(signal.SIGTERM, lambda *_: sys.exit(print("drained", flush=True)))
print("up", flush=True)
signal.pause()
"""
PARENT = """
import asyncio, os, sys
from pathlib import Path
from actors.host.supervisor import ProcessSpec, Supervisor
async def main(log, code):
    specs = [ProcessSpec(name=f"a{n}", argv=[sys.executable, "-c", code], env={}, log=log) for n in range(3)]
    async with Supervisor(specs, lambda event: None) as supervisor:
        print(*supervisor.pids().values(), flush=True)
        await supervisor.wait()
asyncio.run(main(Path(sys.argv[1]), sys.argv[2]))
"""


def pids_of(parent: Popen[str]) -> list[int]:
    assert parent.stdout is not None
    return [int(pid) for pid in parent.stdout.readline().split()]


async def test_ctrl_c_to_the_parents_group_leaves_the_children_to_stop(
    tmp_path: Path, program: Program, until: Until, lives: Lives
) -> None:
    log = tmp_path / "a.log"
    parent = program(PARENT, log, OBEY)
    pids = pids_of(parent)
    await until(lambda: log.read_text().split() == ["up"] * 3)
    os.killpg(parent.pid, signal.SIGINT)
    await until(lambda: parent.poll() is not None)
    assert not any(map(lives, pids))
    assert sorted(log.read_text().split()) == ["drained"] * 3 + ["up"] * 3


async def test_a_killed_supervisor_leaves_no_child(
    tmp_path: Path, program: Program, until: Until, lives: Lives
) -> None:
    parent = program(PARENT, tmp_path / "a.log", OBEY)
    pids = pids_of(parent)
    assert len(pids) == 3
    assert all(map(lives, pids))
    parent.kill()
    await until(lambda: not any(map(lives, pids)))
