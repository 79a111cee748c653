"""Real processes: waiting for what they do, and looking at who still lives."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import psutil
import pytest

Until = Callable[[Callable[[], object]], Awaitable[None]]
Program = Callable[..., subprocess.Popen[str]]
Lives = Callable[[int], bool]


@pytest.fixture
def until() -> Until:
    """Wait until a condition holds; fail after 20 s."""

    async def wait(condition: Callable[[], object]) -> None:
        async with asyncio.timeout(20):
            while not condition():
                await asyncio.sleep(0.01)

    return wait


@pytest.fixture
def lives() -> Lives:
    """Say whether a pid runs; a zombie does not."""

    def running(pid: int) -> bool:
        try:
            return psutil.Process(pid).status() not in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD)
        except psutil.NoSuchProcess:
            return False

    return running


@pytest.fixture
def program(tmp_path: Path) -> Iterator[Program]:
    """Start Python code as a process of its own, ended with the test."""
    started: list[subprocess.Popen[str]] = []

    def start(code: str, *args: object) -> subprocess.Popen[str]:
        argv = [sys.executable, "-c", code, *map(str, args)]
        process = subprocess.Popen(
            argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()
