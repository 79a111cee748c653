"""Sandboxes that another process starts: the same answers, and nothing left when either side goes."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator

import psutil
import pytest

from sandbox import Order, Policy, RunUnderWay
from sandbox.apart import Apart, Gone


@pytest.fixture
async def apart() -> AsyncIterator[Apart]:
    apart = Apart("bubblewrap", Policy(pool=0), {"PATH": os.environ["PATH"]})
    yield apart
    await apart.close()


def order(name: str, *argv: str, **files: bytes) -> Order:
    return Order(id=f"apart-{os.getpid()}-{name}", argv=argv, files=files, timeout_s=30.0)


def below(apart: Apart) -> list[psutil.Process]:
    return list(psutil.Process(apart.pid).children(recursive=True))


async def until(condition: object) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.02)


async def test_a_run_answers_as_it_does_within_the_process(apart: Apart) -> None:
    backend = await apart.find()
    assert backend.name == "bubblewrap"
    outcome = await backend.run(
        order("x", "python3", "-c", "print(open('a').read()); open('b', 'w')", a=b"hi")
    )
    assert (outcome.status, outcome.stdout.head, [file.path for file in outcome.files]) == (
        "ok",
        "hi\n",
        ["b"],
    )
    assert (await backend.describe())[0]["bwrap"]
    await backend.close()
    assert (await (await apart.find()).run(order("y", "true"))).status == "ok"


async def test_what_does_not_fit_is_not_even_sent(apart: Apart) -> None:
    backend = await apart.find()
    outcome = await backend.run(order("big", "true", a=bytes(Policy().workspace_bytes + 1)))
    assert (outcome.status, outcome.limits_hit) == ("not_started", ("workspace_bytes",))


async def test_runs_go_on_side_by_side_and_the_same_one_not_twice(apart: Apart) -> None:
    backend = await apart.find()
    slow = asyncio.create_task(backend.run(order("slow", "sleep", "20")))
    await until(lambda: below(apart))
    with pytest.raises(RunUnderWay):
        await backend.run(order("slow", "true"))
    assert (await backend.run(order("quick", "true"))).status == "ok"
    slow.cancel()
    with pytest.raises(asyncio.CancelledError):
        await slow
    assert not below(apart)


async def test_a_run_ends_when_who_asked_is_gone(apart: Apart) -> None:
    backend = await apart.find()
    slow = asyncio.create_task(backend.run(order("left", "sleep", "20")))
    await until(lambda: below(apart))
    left = [psutil.Process(apart.pid), *below(apart)]
    await apart.close()
    with pytest.raises(Gone):
        await slow
    await until(lambda: not any(process.is_running() for process in left))


async def test_who_asks_is_told_that_nobody_can_start_anything_any_more(apart: Apart) -> None:
    backend = await apart.find()
    slow = asyncio.create_task(backend.run(order("dead", "sleep", "20")))
    await until(lambda: below(apart))
    left = below(apart)
    os.kill(apart.pid, signal.SIGKILL)
    with pytest.raises(Gone):
        await slow
    await apart.ended()
    for ask in (apart.find, backend.describe):
        with pytest.raises(Gone):
            await ask()
    await backend.close()
    for process in left:  # bwrap dies with its parent; what it had hardly begun is swept by the next process
        await until(lambda process=process: not process.is_running())


async def test_bytes_that_are_no_question_end_it() -> None:
    apart = Apart("bubblewrap", Policy(pool=0), {"PATH": os.environ["PATH"]})
    apart._socket.sendall(b"\x05\x00\x00\x00hello")
    await asyncio.wait_for(apart.ended(), 20)
    await apart.close()
