"""How long a job takes, by the way it is isolated: `python bench/sandbox.py [ROUNDS]`.

A whole job is: two files in, `python` writes a third, its output and that file come back. The baseline is
what anybody gets from the bare Docker SDK for a program alone, without files: create, start and wait with
network none. Rounds alternate between the ways, so that a busy machine slows all of them alike.
"""

import asyncio
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

# This file has the name of the package it measures.
sys.path[:] = [place for place in sys.path if Path(place).resolve() != Path(__file__).resolve().parent]

import docker

from sandbox import Backend, Order, Policy, choose_backend

ROUNDS = int(sys.argv[1]) if len(sys.argv) > 1 else 11
AT_ONCE = 8
IMAGE = Policy().image
CODE = "open('out', 'w').write(open('a').read() + open('b').read())"
FILES = {"a": b"1" * 1000, "b": b"2" * 1000}

Measured = Callable[[], Awaitable[float]]
_number = 0


def order(argv: tuple[str, ...] = ("python", "-c", CODE)) -> Order:
    global _number
    _number += 1
    return Order(id=f"bench-{_number}-{time.time_ns()}", argv=argv, files=FILES)


async def job(backend: Backend) -> float:
    """Run one whole job and return its seconds."""
    began = time.perf_counter()
    outcome = await backend.run(order())
    took = time.perf_counter() - began
    assert (outcome.status, len(outcome.files)) == ("ok", 1), outcome
    return took


async def bare_sdk(api: docker.APIClient) -> float:
    """Do what the baseline is; what is removed afterwards does not count."""

    def once() -> float:
        began = time.perf_counter()
        host = api.create_host_config(network_mode="none")
        container = api.create_container(IMAGE, ["python", "-c", "pass"], host_config=host)["Id"]
        api.start(container)
        api.wait(container)
        took = time.perf_counter() - began
        api.remove_container(container)
        return took

    return await asyncio.to_thread(once)


async def plain() -> float:
    """Run the program without any isolation, for comparison only."""

    def once() -> float:
        with tempfile.TemporaryDirectory() as folder:
            for name, content in FILES.items():
                Path(folder, name).write_bytes(content)
            began = time.perf_counter()
            subprocess.run([sys.executable, "-c", CODE], cwd=folder, check=True)
            return time.perf_counter() - began

    return await asyncio.to_thread(once)


def waiting(api: docker.APIClient) -> int:
    return len(api.containers(filters={"name": "coo-pool-", "label": "coo.sandbox"}))


async def from_pool(backend: Backend, api: docker.APIClient) -> float:
    """Run a job once the pool is full; that it is filled again meanwhile is part of what is measured."""
    async with asyncio.timeout(30):
        while await asyncio.to_thread(waiting, api) < Policy().pool:
            await asyncio.sleep(0.05)
    return await job(backend)


async def at_once(backend: Backend) -> tuple[float, list[float]]:
    """Start eight jobs together; return the seconds until all have ended, and those of each."""
    began = time.perf_counter()
    each = await asyncio.gather(*(job(backend) for _ in range(AT_ONCE)))
    return time.perf_counter() - began, sorted(each)


def show(name: str, seconds: list[float], baseline: float) -> None:
    middle = statistics.median(seconds)
    spread = f"{1000 * min(seconds):.0f}-{1000 * max(seconds):.0f}"
    print(f"{name:44} {1000 * middle:6.0f} ms  {middle / baseline:5.2f} x  ({spread})", flush=True)


async def main() -> None:
    api = docker.APIClient("unix:///var/run/docker.sock")
    cold = await choose_backend("docker", Policy(pool=0))
    pooled = await choose_backend("docker", Policy())
    bubblewrap = await choose_backend("bubblewrap", Policy())
    await job(pooled)  # fills the pool
    ways: dict[str, Measured] = {
        "bare SDK: create, start, wait, network none": lambda: bare_sdk(api),
        "Docker, whole job, cold": lambda: job(cold),
        "Docker, whole job, from the pool": lambda: from_pool(pooled, api),
        "bubblewrap, whole job": lambda: job(bubblewrap),
        "plain subprocess, no isolation": plain,
    }
    took: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(ROUNDS):
        for name, measure in ways.items():
            took[name].append(await measure())
            await asyncio.sleep(0.3)  # removals end in the background
    baseline = statistics.median(next(iter(took.values())))
    print(f"{ROUNDS} rounds, medians (least-most), as a multiple of the bare SDK's")
    for name, seconds in took.items():
        show(name, seconds, baseline)
    for name, backend in (("Docker", pooled), ("bubblewrap", bubblewrap)):
        whole, each = await at_once(backend)
        print(
            f"{AT_ONCE} at once, {name}: all in {1000 * whole:.0f} ms, {1000 * whole / AT_ONCE:.0f} a job; "
            f"first {1000 * each[0]:.0f}, last {1000 * each[-1]:.0f}"
        )
    for backend in (cold, pooled, bubblewrap):
        await backend.close()
    api.close()


asyncio.run(main())
