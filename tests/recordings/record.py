"""Record a company with missions in flight, for later versions of its roles to finish.

    PYTHONPATH=tests/support:tests python tests/recordings/record.py FOLDER

writes tests/recordings/FOLDER/{drained,killed}.{log.gz,store.tar.xz}: the log as lines, and the store of the
real nats-server that held it. All missions have the same goal, so they must come to the same files:

    done      completed
    release   waits for the CEO to release it
    raise     out of money, asks for more
    paused    paused by the CEO while the engineer's program ran
    called    a model was called and has not answered: an open hold at the guard
    waiting   its hold waits at the guard behind that of `called`
    running   a program is in the sandbox
    opening   nobody has opened its account yet
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import Any

import msgspec
from recorded_company import RECORDINGS, STREAMS, Company, Connect, connecting, on_server, write_log

from actors import messages as m
from actors.performers.model.providers.scripted import ScriptedClient
from actors.table import TABLE
from bus.subjects import COMPANY

GOAL = "Write a word count tool with tests"
UNANSWERED = "Write a word counter with tests"
"""The same script under another goal: while recording, its engineer's model does not answer."""

TEN_YEARS_S = 315_360_000
"""A recording is finished long after it was made; nothing may be over by then but holds."""

DAY_MICROUSD = 20_000_000
NO_SANDBOX = tuple(name for name in TABLE.processes if name != "sandbox")
NO_GUARD = tuple(name for name in TABLE.processes if name != "budget")


class Recorder:
    def __init__(self, connect: Connect, how: str) -> None:
        self.company = Company(connect)
        self._how = how

    async def play(self) -> None:
        """Bring every mission to where it is to be found."""
        company = self.company
        await company.start()
        await self.limits(DAY_MICROUSD, "limits")
        await self.mission("done")
        await company.until("done", "completed")
        await self.mission("release", ask_release=True)
        await company.until("release", "paused_approval")
        await self.mission("raise", budget_microusd=1, ask_raise=True)
        await company.until("raise", "paused_budget")
        await company.drain(["sandbox"])
        await self.mission("paused")
        await self.seen("coo.m.paused.sandbox.execute.engineer")
        await company.say("coo", "paused", m.Control(action="pause"), "pause")
        await company.until("paused", "paused_manual")
        await self.mission("running")
        await self.seen("coo.m.running.sandbox.execute.engineer")
        await self.mission("called", UNANSWERED)
        await self.seen("coo.m.called.budget.sent.model-engineer")
        await self.wait_behind()
        await (company.kill("budget") if self._how == "killed" else company.drain(["budget"]))
        await self.mission("opening")
        await self.seen("coo.m.opening.budget.open.coo")

    async def wait_behind(self) -> None:
        """Leave so little of the day that one more hold fits only if `called` gives its own back."""
        log = await self.company.log()
        granted = [msgspec.json.decode(s.body, type=m.Granted) for s in log if ".granted." in s.subject]
        settled = [msgspec.json.decode(s.body, type=m.Settle) for s in log if ".settle." in s.subject]
        posted = sum({fact.attempt: fact.microusd for fact in settled}.values())
        await self.limits(posted + granted[-1].microusd + 1_000, "tight")
        await self.mission("waiting")
        await self.seen("coo.m.waiting.budget.reserve.model-coo")

    async def mission(self, name: str, goal: str = GOAL, **more: Any) -> None:
        budget = more.pop("budget_microusd", 1_000_000)
        terms = m.Terms(
            models=dict.fromkeys(("coo", "engineer", "qa"), "scripted"),
            pause_timeout_s=TEN_YEARS_S,
            approval_timeout_s=TEN_YEARS_S,
            **more,
        )
        given = m.Mission(goal=goal, budget_microusd=budget, terms=terms)
        await self.company.say("coo", name, given, f"mission-{name}")

    async def limits(self, day: int, name: str) -> None:
        limits = m.Limits(day_microusd=day, month_microusd=10 * day, mission_microusd=1_000_000)
        await self.company.say("budget", COMPANY, limits, name)

    async def seen(self, subject: str) -> None:
        async with asyncio.timeout(30):
            while await self.company.ceo.last("COO", subject) is None:
                await asyncio.sleep(0.02)


async def play(url: str, passwords: dict[str, str], how: str) -> None:
    async with connecting(url, passwords) as connect:
        recorder = Recorder(connect, how)
        await recorder.play()
        if how == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        await recorder.company.drain()


def played(url: str, passwords: dict[str, str], how: str) -> None:
    """Play in a process of its own, whose models do not answer everything."""
    answer = ScriptedClient.complete

    async def complete(self: ScriptedClient, request: Any) -> Any:
        if request.call.goal == UNANSWERED and request.call.turn == "code":
            await asyncio.Event().wait()
        return await answer(self, request)

    ScriptedClient.complete = complete
    asyncio.run(play(url, passwords, how))


async def record(folder: Path, how: str) -> None:
    with tempfile.TemporaryDirectory(prefix="coo-record-") as scratch:
        async with on_server(Path(scratch), None) as server:
            actors = multiprocessing.Process(target=played, args=(server.url, server.passwords, how))
            actors.start()
            await asyncio.to_thread(actors.join)
            assert actors.exitcode == (-signal.SIGKILL if how == "killed" else 0), actors.exitcode
            reader = Company(server.connect)
            await reader.start([])
            write_log(folder / f"{how}.log.gz", {stream: await reader.log(stream) for stream in STREAMS})
        with tarfile.open(folder / f"{how}.store.tar.xz", "w:xz") as archive:
            archive.add(Path(scratch) / "company" / "nats", ".")


def main() -> None:
    folder = RECORDINGS / sys.argv[1]
    folder.mkdir()
    for how in ("drained", "killed"):
        asyncio.run(record(folder, how))


if __name__ == "__main__":
    multiprocessing.set_start_method("spawn")
    main()
