"""A gigabyte of output, and what it costs: the sandbox's process, the engine and its disk together."""

import contextlib
import json
import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from private_dockerd import PrivateDockerd

pytestmark = [pytest.mark.docker, pytest.mark.slow]

MAY_COST_BYTES = 20_000_000
FLOOD_BYTES = 1 << 30
ROOT = Path(__file__).parents[3]

# The flood limit is out of the way: all of the gigabyte is taken in.
OWNER = """
import asyncio, json, sys
from sandbox import Order, Policy, choose_backend
def memory(field):
    for line in open("/proc/self/status"):
        if line.startswith(field):
            return int(line.split()[1]) * 1024
CODE = "import os\\nfor _ in range(1024): os.write(1, b'x' * (1 << 19)); os.write(2, b'y' * (1 << 19))"
async def main():
    policy = Policy(docker_host=sys.argv[1], flood_bytes=1 << 32, pool=0)
    backend = await choose_backend("docker", policy)
    await backend.run(Order(id="test-quiet", argv=("python", "-c", "print(1)"), files={"a": b""}))
    print(json.dumps(memory("VmRSS")), flush=True)
    sys.stdin.readline()
    order = Order(id="test-flood", argv=("python", "-c", CODE), timeout_s=100.0)
    outcome = await backend.run(order)
    total = outcome.stdout.total_bytes + outcome.stderr.total_bytes
    print(json.dumps([memory("VmHWM"), outcome.status, total]))
    await backend.close()
asyncio.run(main())
"""


def engine_bytes(engine: PrivateDockerd) -> int:
    """Return the memory of the engine and its parts; the container's own is limited by itself."""
    total = 0
    for process in engine.family():
        with contextlib.suppress(psutil.Error):
            total += process.memory_info().rss if process.name() in ("dockerd", "containerd") else 0
    return total


def disk_bytes(folder: Path) -> int:
    used = 0
    for place, _, files in os.walk(folder):
        if "/overlay2/" in place and "/merged" in place:
            continue  # seen under its layers already
        for name in files:
            with contextlib.suppress(OSError):
                used += os.lstat(os.path.join(place, name)).st_blocks * 512
    return used


def test_a_gigabyte_of_output_costs_next_to_nothing(spare_dockerd: PrivateDockerd) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", OWNER, spare_dockerd.host],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as owner:
        assert owner.stdin is not None
        assert owner.stdout is not None
        own_before = int(json.loads(owner.stdout.readline()))
        before, disk_before = engine_bytes(spare_dockerd), disk_bytes(spare_dockerd.data_root)
        owner.stdin.write("go\n")
        owner.stdin.flush()
        peak = before
        while owner.poll() is None:
            peak = max(peak, engine_bytes(spare_dockerd))
            with contextlib.suppress(subprocess.TimeoutExpired):
                owner.wait(0.2)
        own_peak, status, total = json.loads(owner.stdout.readline())
    disk = disk_bytes(spare_dockerd.data_root) - disk_before
    cost = {"own": own_peak - own_before, "engine": peak - before, "disk": disk}
    print(cost)
    assert (status, total) == ("ok", FLOOD_BYTES)
    assert sum(cost.values()) < MAY_COST_BYTES, cost
