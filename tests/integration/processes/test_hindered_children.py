"""A child whose end is the world's fault: said once, not started in vain, and never given up for it."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from actors.host.supervisor import ProcessEvent, ProcessSpec, RestartPolicy, Supervisor

Until = Callable[[Callable[[], object]], Awaitable[None]]

QUICK = RestartPolicy(first_delay_s=0.01, max_delay_s=0.02, max_crashes=3)
ENDS = {
    "crash": "import sys; sys.exit(1)",
    "away": f"import sys; sys.exit({os.EX_TEMPFAIL})",
    "refused": f"import sys; sys.exit({os.EX_CONFIG})",
    "killed": "import os, signal; os.kill(os.getpid(), signal.SIGKILL)",
    "not there": "",
}


class World:
    """What is in the way, and how often somebody asked."""

    def __init__(self) -> None:
        self.why = "no space left on device"
        self.asked = 0
        self.events: list[ProcessEvent] = []

    async def hindrance(self, ended: ProcessEvent) -> str:
        self.asked += 1
        return self.why

    def kinds(self) -> list[str]:
        return [event.kind for event in self.events]


def spec(folder: Path, code: str) -> ProcessSpec:
    program = sys.executable if code else str(folder / "nothing")
    return ProcessSpec(name="a", argv=[program, "-c", code], env={}, log=folder / "a.log")


@pytest.mark.parametrize("end", ENDS)
async def test_who_cannot_run_waits_and_is_not_given_up_until_the_fault_is_its_own(
    tmp_path: Path, until: Until, end: str
) -> None:
    world = World()
    supervisor = Supervisor(
        [spec(tmp_path, ENDS[end])], world.events.append, QUICK, hindrance=world.hindrance
    )
    async with supervisor:
        await until(lambda: world.asked > 2)
        starts = ["started"] if ENDS[end] else []
        assert world.kinds() == [*starts, "stuck"]
        assert world.events[-1].reason == world.why
        world.why = ""
        await until(lambda: "gave_up" in world.kinds())
        crashes = 0 if end == "refused" else QUICK.max_crashes - 1
        assert world.kinds().count("crashed") == crashes


async def test_a_stop_while_a_child_waits_for_the_world_does_not_wait(tmp_path: Path, until: Until) -> None:
    world = World()
    supervisor = Supervisor(
        [spec(tmp_path, ENDS["killed"])], world.events.append, QUICK, hindrance=world.hindrance
    )
    async with supervisor:
        await until(lambda: "stuck" in world.kinds())
        assert world.events[-1].returncode == -signal.SIGKILL
        async with asyncio.timeout(10):
            await supervisor.stop()
    assert world.kinds() == ["started", "stuck"]
