"""The CEO's commands against a real nats-server, with the whole company's loops in the test's own process."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from actors import messages as m
from actors.process.wiring import loops, serve
from actors.table import TABLE
from bus.envelope import open_letter
from bus.loops.publisher import publish_surely
from config.parts import decode
from config.settings import load
from config.split import part

MAIN = "from actors.cli.app import main; main()"

PLAN = """
  - turn: plan
    summary: one task
    tasks:
      - {title: Greet, brief: "Print hello.", acceptance: [python3, greet.py], outputs: [greet.py]}
"""
CODE = """
  - turn: code
    {place}
    summary: the program
    files:
      greet.py: |
        print("hello")
      docs/notes.txt: |
        one
        two
"""
EXAM = """
  - turn: exam
    {place}
    cases:
      - {{name: greets, argv: [python3, greet.py]}}
    marker: [python3, qa_exam/mark.py]
    files:
      qa_exam/mark.py: |
        from pathlib import Path

        for answer in Path("answers").iterdir():
            good = (answer / "stdout").read_text() == "hello\\n"
            print(f"PASS {{answer.name}}" if good else f"FAIL {{answer.name}}: it does not greet")
"""
JUDGE = """
  - turn: judge
    {place}
    verdict: {verdict}
    reason: it greets
    findings: {findings}
"""


def _answers(place: str, verdict: str = "approved", findings: str = "[]") -> str:
    return (CODE + EXAM + JUDGE).format(place=place, verdict=verdict, findings=findings)


GREET = "name: greet\nabout: passes at once\ngoals: [Say hello]\nanswers:" + PLAN + _answers("task: 1")
STRICT = (
    "name: strict\nabout: sent back once\ngoals: [Say hello twice]\nanswers:"
    + PLAN
    + _answers("task: 1", "rejected", '[{problem: "it says \\e[31mhello\\e[0m only once", file: greet.py}]')
    + _answers("rework: 1")
)


VAGUE = (
    "name: vague\nabout: no exam proves anything\ngoals: [Say hello vaguely]\nanswers:"
    + PLAN
    + CODE.format(place="task: 1")
    + "".join(EXAM.format(place=f"round: {n}").replace("FAIL", "PASS") for n in range(3))
    + JUDGE.format(place="task: 1", verdict="approved", findings="[]")
)


@dataclass(frozen=True)
class Said:
    """What a command printed, and how it ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def lines(self) -> list[Any]:
        return [json.loads(line) for line in self.out.splitlines()]


@dataclass
class Desk:
    """The `coo` command, as a process of its own with the CEO's environment."""

    env: dict[str, str]

    async def start(self, *arguments: object, **env: str) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            *[sys.executable, "-c", MAIN, *map(str, arguments)],
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={**self.env, **env},
        )

    async def __call__(self, *arguments: object, stdin: bytes = b"", **env: str) -> Said:
        process = await self.start(*arguments, **env)
        out, err = await asyncio.wait_for(process.communicate(stdin), 60)
        return Said(process.returncode or 0, out.decode(), err.decode())


@pytest.fixture
async def desk(nats: Any, tmp_path: Path) -> Desk:
    """The CEO's command on this server, with settings of its own."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("COO_")}
    (tmp_path / "home").mkdir()
    return Desk(
        {
            **env,
            "HOME": str(tmp_path / "home"),
            "XDG_CONFIG_HOME": str(tmp_path / "home"),
            "NATS_URL": nats.server.url,
            "COO_DATA_DIR": str(tmp_path / "company"),
        }
    )


Company = Callable[..., Any]


@pytest.fixture
def company(nats: Any, tmp_path: Path) -> Company:
    """Run actors until the context ends: all of them, or those named."""

    @asynccontextmanager
    async def running(processes: Iterable[str] = TABLE.processes) -> AsyncIterator[None]:
        settings = load(overrides=_overrides(tmp_path))
        await _limits(nats)
        stop = asyncio.Event()
        async with AsyncExitStack() as stack:
            tasks = []
            for process in processes:
                carrier = await nats.connect(process)
                stack.push_async_callback(carrier.close)
                config = decode(part(settings, process, TABLE.needs_of(process)))
                tasks.append(asyncio.create_task(serve(loops(process, carrier, config), stop)))
            try:
                yield
            finally:
                stop.set()
                await asyncio.gather(*tasks)

    return running


def _overrides(tmp_path: Path) -> Mapping[str, object]:
    scripts = tmp_path / "scripts"
    scripts.mkdir(exist_ok=True)
    (scripts / "greet.yaml").write_text(GREET)
    (scripts / "strict.yaml").write_text(STRICT)
    (scripts / "vague.yaml").write_text(VAGUE)
    return {"models": {"scripts": str(scripts)}, "sandbox": {"backend": "bubblewrap"}}


async def _limits(nats: Any) -> None:
    ceo = await nats.connect("ceo")
    limits = m.Limits(day_microusd=10**9, month_microusd=10**9, mission_microusd=10**9)
    letter = open_letter(
        TABLE,
        sender="ceo",
        to="budget",
        mission="company",
        message=limits,
        id="limits",
        time_ns=ceo.now_ns(),
    )
    await publish_surely(ceo, letter)


Until = Callable[[Callable[[], Awaitable[object]]], Awaitable[None]]


@pytest.fixture
def until() -> Until:
    """Wait until something asked of the world is so; fail after 20 s."""

    async def wait(condition: Callable[[], Awaitable[object]]) -> None:
        async with asyncio.timeout(20):
            while not await condition():
                await asyncio.sleep(0.05)

    return wait
