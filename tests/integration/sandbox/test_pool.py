"""Containers that wait for an order, on a real engine."""

import asyncio
import contextlib
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from sandbox import Backend, Order, Policy, RunUnderWay, choose_backend
from sandbox.docker.containers import POOL_PREFIX, owner_from
from sandbox.docker.engine import Engine
from sandbox.docker.holder import Workshop, make_spare
from sandbox.owner import give_up, new_owner

pytestmark = pytest.mark.docker

Until = Callable[[Callable[[], object]], Awaitable[None]]
HostPids = Callable[[str], list[int]]

POLICY = Policy(memory_bytes=128 * 2**20, workspace_bytes=16 * 2**20, tmp_bytes=4 * 2**20, pool=2)
ROOT = Path(__file__).parents[3]
OWNER = """
import asyncio, sys
from sandbox import Order, Policy, choose_backend
async def main():
    backend = await choose_backend("docker", Policy(pool=2))
    await backend.run(Order(id="test-owner", argv=("true",)))
    await asyncio.sleep(600)
asyncio.run(main())
"""


@pytest.fixture
async def pooled(engine: Engine) -> AsyncIterator[Backend]:
    """Run orders out of a pool of two."""
    backend = await choose_backend("docker", POLICY)
    yield backend
    await backend.close()


def start_owner() -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", OWNER], cwd=ROOT)


def spares_of(engine: Engine, pid: int) -> list[str]:
    return sorted(
        found.id
        for found in engine.made_here()
        if found.name.startswith(POOL_PREFIX) and owner_from(found.labels).pid == pid
    )


def waiting(engine: Engine) -> list[str]:
    return spares_of(engine, os.getpid())


async def warm(backend: Backend, engine: Engine, until: Until, size: int) -> list[str]:
    assert (await backend.run(Order(id="test-first", argv=("true",)))).status == "ok"
    await until(lambda: len(waiting(engine)) == size)
    return waiting(engine)


async def test_a_spare_serves_one_order_under_its_name_and_is_gone(
    pooled: Backend, engine: Engine, until: Until, host_pids: HostPids
) -> None:
    before = await warm(pooled, engine, until, 2)
    run = asyncio.create_task(pooled.run(Order(id="test-second", argv=("sleep", "4730.25"), timeout_s=2.0)))
    await until(lambda: host_pids("4730.25"))
    found = engine.find("coo-run-test-second")
    assert found is not None
    assert found.id in before
    assert (await run).status == "timeout"
    await until(lambda: len(set(waiting(engine)) - {found.id}) == 2)
    await until(lambda: engine.find(found.id) is None)


async def test_nothing_of_an_order_is_seen_by_the_next(pooled: Backend, engine: Engine, until: Until) -> None:
    code = (
        "import os; print(sorted(os.listdir('.') + os.listdir('/tmp'))); open('/tmp/a', 'w'); open('b', 'w')"
    )
    await warm(pooled, engine, until, 2)
    for number in range(4):
        outcome = await pooled.run(
            Order(id=f"test-next-{number}", argv=("python", "-c", code), files={"c": b""})
        )
        assert outcome.stdout.head == "['c']\n"


async def test_spares_that_died_are_passed_over(pooled: Backend, engine: Engine, until: Until) -> None:
    for spare in await warm(pooled, engine, until, 2):
        engine.remove(spare)
    assert (await pooled.run(Order(id="test-second", argv=("true",)))).status == "ok"


async def test_an_order_under_way_elsewhere_costs_no_spare(
    pooled: Backend, engine: Engine, until: Until, host_pids: HostPids
) -> None:
    other = await choose_backend("docker", POLICY)
    order = Order(id="test-twice", argv=("sleep", "4731.25"))
    spares = await warm(pooled, engine, until, 2)
    run = asyncio.create_task(other.run(order))
    await until(lambda: host_pids("4731.25"))
    for _ in range(3):
        with pytest.raises(RunUnderWay):
            await pooled.run(order)
    assert set(spares) <= set(waiting(engine))
    run.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await run
    await other.close()
    assert (await pooled.run(Order(id="test-twice", argv=("true",)))).status == "ok"


async def test_closing_leaves_no_spare(engine: Engine, until: Until) -> None:
    backend = await choose_backend("docker", POLICY)
    await warm(backend, engine, until, 2)
    await backend.close()
    assert waiting(engine) == []


async def test_closing_while_the_pool_is_being_filled_leaves_no_spare(engine: Engine) -> None:
    for delay_s in (0.0, 0.35, 0.5):
        backend = await choose_backend("docker", POLICY)
        await backend.run(Order(id="test-first", argv=("true",)))
        await asyncio.sleep(delay_s)
        await backend.close()
        assert waiting(engine) == []


async def test_without_a_pool_nothing_waits(engine: Engine) -> None:
    backend = await choose_backend("docker", Policy(pool=0))
    await backend.run(Order(id="test-first", argv=("true",)))
    await asyncio.sleep(0.6)
    assert waiting(engine) == []
    await backend.close()


async def test_a_killed_owners_spares_are_swept(
    docker_backend: Backend, engine: Engine, until: Until
) -> None:
    owner = start_owner()
    await until(lambda: len(spares_of(engine, owner.pid)) == 2)
    spares = spares_of(engine, owner.pid)
    owner.kill()
    owner.wait()
    assert set(spares) <= set(await docker_backend.sweep())
    assert spares_of(engine, owner.pid) == []


async def test_what_a_closed_backend_left_is_swept_by_the_next_one_of_the_process(
    docker_backend: Backend, engine: Engine
) -> None:
    owner = new_owner()
    spare = make_spare(Workshop(engine, POLICY, engine.image_id(POLICY.image), owner))
    assert spare.container not in await docker_backend.sweep()
    give_up(owner)
    assert spare.container in await docker_backend.sweep()
    assert engine.find(spare.container) is None
