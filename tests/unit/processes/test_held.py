"""The pipe on which a process tells what it holds: what comes out, and what a bad one cannot do."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator

import pytest

from actors.process.held import HeldPipe, HeldReport


def ack(seq: int, *, delivered: int = 1, consumer: str = "qa") -> str:
    return f"$JS.ACK.COO.{consumer}.{delivered}.{seq}.{seq}.1795344000000000000.0"


class Line:
    """Both ends, in one process."""

    def __init__(self) -> None:
        self.handled = 0
        self.pipe = HeldPipe(self._on_handled)
        self.fd = os.dup(self.pipe.write_fd)
        self.pipe.given_away()
        self.report = HeldReport(self.fd)

    def _on_handled(self) -> None:
        self.handled += 1


@pytest.fixture
async def line() -> Iterator[Line]:
    line = Line()
    yield line
    line.pipe.close()
    os.close(line.fd)


async def told(line: Line, held: list[str]) -> None:
    async with asyncio.timeout(5):
        while list(line.pipe.held) != held:
            await asyncio.sleep(0.001)


async def test_what_is_taken_is_held_until_it_is_settled(line: Line) -> None:
    line.report.taken(ack(1))
    line.report.taken(ack(2))
    await told(line, [ack(1), ack(2)])
    line.report.settled(ack(1), handled=True)
    await told(line, [ack(2)])
    assert line.handled == 1
    assert line.pipe.close().subjects == [ack(2)]


async def test_what_is_settled_before_anybody_heard_of_it_is_told_as_handled_only(line: Line) -> None:
    line.report.taken(ack(1))
    line.report.settled(ack(1), handled=True)
    async with asyncio.timeout(5):
        while not line.handled:
            await asyncio.sleep(0.001)
    assert line.pipe.close() == ([], {})


async def test_what_is_given_back_is_nothing_done(line: Line) -> None:
    line.report.taken(ack(1))
    await told(line, [ack(1)])
    line.report.settled(ack(1), handled=False)
    await told(line, [])
    assert line.handled == 0


async def test_the_newest_first_delivery_is_known_by_consumer(line: Line) -> None:
    for subject in (ack(7), ack(3, delivered=2), ack(5, consumer="model-qa")):
        line.report.taken(subject)
    await told(line, [ack(7), ack(3, delivered=2), ack(5, consumer="model-qa")])
    assert line.pipe.close().newest == {"$JS.ACK.COO.qa": 7, "$JS.ACK.COO.model-qa": 5}


async def test_a_pipe_that_nobody_reads_never_blocks_and_holds_no_more_than_what_is_held(line: Line) -> None:
    asyncio.get_running_loop().remove_reader(line.pipe._read_fd)
    for seq in range(1, 20_001):
        line.report.taken(ack(seq))
        if seq > 10:
            line.report.settled(ack(seq - 10), handled=True)
        if seq % 50 == 0:
            await asyncio.sleep(0)
    assert len(line.report._changes) < 2_000
    loop = asyncio.get_running_loop()
    loop.add_reader(line.pipe._read_fd, line.pipe._read)
    await told(line, [ack(seq) for seq in range(19_991, 20_001)])


async def test_a_supervisor_that_is_gone_is_no_matter(line: Line) -> None:
    line.pipe.close()
    for seq in range(100):
        line.report.taken(ack(seq))
        await asyncio.sleep(0)
    assert not line.report._changes


async def test_lines_that_are_no_ack_subjects_are_not_believed(line: Line) -> None:
    os.write(line.fd, b"+coo.m.m-1.budget.raise.approval\n+\xff\n-\n+" + b"x" * 9_000 + b"\n\n")
    line.report.taken(ack(1))
    await told(line, [ack(1)])
