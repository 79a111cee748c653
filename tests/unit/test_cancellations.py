"""A cancellation that nats-py drops is not lost for whoever was cancelled."""

from __future__ import annotations

import asyncio

import pytest

from bus.jetstream.natspy import apart


async def drops_it(ended: list[str]) -> str:
    """Do as `asyncio.wait_for` does when the result has come together with the cancellation."""
    try:
        await asyncio.sleep(10)
    except asyncio.CancelledError:
        ended.append("here")
    return "a result"


async def test_whoever_is_cancelled_learns_of_it_after_the_work_has_ended() -> None:
    ended: list[str] = []
    task = asyncio.create_task(apart(drops_it(ended)))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended == ["here"]


async def test_a_time_out_holds_although_the_work_drops_it() -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await apart(drops_it([]))


async def test_results_and_errors_come_through() -> None:
    async def fails() -> None:
        raise LookupError("gone")

    assert await apart(asyncio.sleep(0, "a result")) == "a result"
    with pytest.raises(LookupError, match="gone"):
        await apart(fails())
