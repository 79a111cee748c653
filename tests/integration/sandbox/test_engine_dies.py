"""The engine is killed while a program runs, and started again."""

import asyncio
import gc
from collections.abc import Awaitable, Callable, Iterator

import docker
import pytest
from private_dockerd import PrivateDockerd

from sandbox import Order, Policy, choose_backend

pytestmark = [
    pytest.mark.docker,
    pytest.mark.slow,
    # The SDK does not close a socket that could not be connected: a Unix socket that never had a peer.
    pytest.mark.filterwarnings(
        r"ignore:unclosed <socket\.socket fd=\d+, family=1, type=1, proto=0>:ResourceWarning"
    ),
]

Until = Callable[[Callable[[], object]], Awaitable[None]]
HostPids = Callable[[str], list[int]]


@pytest.fixture(autouse=True)
def collected() -> Iterator[None]:
    """Collect what the test left while its own filter is on, and nothing of it is referred to any more."""
    yield
    gc.collect()


async def test_nothing_is_left_after_the_engine_died_and_a_sweep(
    spare_dockerd: PrivateDockerd, until: Until, host_pids: HostPids
) -> None:
    policy = Policy(docker_host=spare_dockerd.host, pool=1)
    backend = await choose_backend("docker", policy)
    assert (await backend.run(Order(id="test-before", argv=("true",)))).status == "ok"
    api = docker.APIClient(spare_dockerd.host)
    await until(lambda: len(api.containers()) == 1)
    order = Order(id="test-engine-dies", argv=("sleep", "4733.25"), files={"a": b"1"})
    run = asyncio.create_task(backend.run(order))
    await until(lambda: host_pids("4733.25"))
    spare_dockerd.kill()
    outcome = await asyncio.wait_for(run, 10)
    assert outcome.status == "engine_error"
    assert outcome.fix.startswith("start Docker")
    assert (await backend.run(Order(id="test-without", argv=("true",)))).status == "not_started"
    await backend.close()

    spare_dockerd.start()
    again = await choose_backend("docker", policy)
    await again.sweep()
    assert (await again.run(Order(id="test-engine-dies", argv=("true",)))).status == "ok"
    await again.close()
    assert api.containers(all=True) == []
    assert api.volumes()["Volumes"] in (None, [])
    await until(lambda: not host_pids("4733.25"))
    api.close()
