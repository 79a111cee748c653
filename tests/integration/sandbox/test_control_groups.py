"""bubblewrap within control groups: the kernel's limits, and nothing left in the kernel's tree."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from sandbox import Order, Policy
from sandbox.bubblewrap.backend import BubblewrapBackend
from sandbox.bubblewrap.controlgroup import open_groups
from sandbox.bubblewrap.hierarchy import Place

Until = Callable[[Callable[[], object]], Awaitable[None]]
HostPids = Callable[[str], list[int]]

ROOT = Path(__file__).parents[3]
POLICY = Policy(memory_bytes=128 * 2**20, pids=32, workspace_bytes=16 * 2**20, tmp_bytes=4 * 2**20)

FORKING_BOMB = """
import os, sys
for _ in range(6):
    if os.fork() == 0:
        held = []
        while True:
            held.append(b"x" * 1_000_000)
sys.exit(any([os.wait()[1] for _ in range(6)]))
"""
MEMFD_FILLER = """
import os
files = [os.memfd_create(str(number)) for number in range(16)]  # one alone ends at the file size limit
while True:
    for file in files:
        os.write(file, b"x" * 1_000_000)
"""
PIDS_BOMB = """
import os, time
children = 0
try:
    while True:
        if os.fork() == 0:
            time.sleep(60)
            os._exit(0)
        children += 1
except BlockingIOError:
    print(children)
"""
OWNER = """
import asyncio, sys
from sandbox import Order, Policy
from sandbox.bubblewrap.backend import BubblewrapBackend
asyncio.run(BubblewrapBackend(Policy()).run(Order(id=sys.argv[1], argv=("sleep", sys.argv[2]))))
"""


@pytest.fixture(scope="module")
def place() -> Place:
    """Say where groups are made; skip where none can be."""
    groups = open_groups(POLICY)
    if groups is None:
        pytest.skip("no control group can be made here: that needs root and a writable hierarchy")
    groups.close()
    return groups.place


@pytest.fixture
async def grouped(place: Place) -> AsyncIterator[BubblewrapBackend]:
    """Run orders in control groups; nothing of this process may be left of them."""
    backend = await asyncio.to_thread(BubblewrapBackend, POLICY)
    yield backend
    assert left(place, os.getpid()) == []
    await backend.close()


def left(place: Place, pid: int) -> list[str]:
    """Return the groups in the kernel's tree that a process made."""
    walks = (os.walk(top) for top in place.tops)
    found = [name for walk in walks for _, names, _ in walk for name in names]
    return [name for name in found if name.startswith("coo-sandbox.") and name.split(".")[2] == str(pid)]


def start_owner(order_id: str, seconds: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-c", OWNER, order_id, seconds],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )


def python(order_id: str, code: str, timeout_s: float = 30.0) -> Order:
    return Order(id=order_id, argv=("python", "-c", code), timeout_s=timeout_s)


@pytest.mark.parametrize("code", [FORKING_BOMB, MEMFD_FILLER], ids=["forking_bomb", "memfd_filler"])
async def test_what_eats_memory_is_out_of_memory(grouped: BubblewrapBackend, code: str) -> None:
    outcome = await grouped.run(python("test-group-memory", code))
    assert (outcome.status, outcome.limits_hit) == ("out_of_memory", ("memory_bytes",))


async def test_a_child_out_of_memory_is_told_though_the_program_ended_well(
    grouped: BubblewrapBackend,
) -> None:
    code = "import subprocess as s; s.run(['python', '-c', 'x = b\"x\" * 10**9']); print('fine')"
    outcome = await grouped.run(python("test-group-child", code))
    assert (outcome.status, outcome.stdout.head, outcome.limits_hit) == ("ok", "fine\n", ("memory_bytes",))


async def test_a_pids_bomb_ends_at_the_groups_limit(grouped: BubblewrapBackend) -> None:
    outcome = await grouped.run(python("test-group-pids", PIDS_BOMB))
    # The program itself is one; bwrap and process 1 are not counted against it.
    expected = ("ok", f"{POLICY.pids - 1}\n", ("pids",))
    assert (outcome.status, outcome.stdout.head, outcome.limits_hit) == expected


async def test_a_fork_bomb_ends_at_its_deadline_and_whole(
    grouped: BubblewrapBackend, host_pids: HostPids
) -> None:
    code = "import os\nwhile True:\n  try: os.fork()\n  except OSError: pass\n# 4731.25"
    outcome = await grouped.run(python("test-group-forks", code, 2.0))
    assert (outcome.status, outcome.limits_hit) == ("timeout", ("pids", "timeout_s"))
    assert host_pids("4731.25") == []


async def test_a_program_is_in_its_runs_group(
    grouped: BubblewrapBackend, place: Place, until: Until, host_pids: HostPids
) -> None:
    order = Order(id="test-group-inside", argv=("sleep", "4732.25"), timeout_s=20.0)
    task = asyncio.create_task(grouped.run(order))
    await until(lambda: host_pids("4732.25"))
    (pid,) = host_pids("4732.25")
    inside = await asyncio.to_thread(Path(f"/proc/{pid}/cgroup").read_text)
    assert inside.count(".test-group-inside\n") == len({place.memory, place.pids})
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.mark.parametrize("delay_s", [0.0, 0.02, 0.05, 0.1, 0.2])
async def test_cancelling_at_any_moment_leaves_no_group(
    grouped: BubblewrapBackend, place: Place, delay_s: float
) -> None:
    task = asyncio.create_task(grouped.run(Order(id="test-group-cancel", argv=("sleep", "4733.25"))))
    await asyncio.sleep(delay_s)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert left(place, os.getpid()) == []


async def test_a_killed_owners_group_is_swept_and_a_living_ones_is_not(
    grouped: BubblewrapBackend, place: Place, until: Until, host_pids: HostPids
) -> None:
    mine = asyncio.create_task(grouped.run(Order(id="test-group-mine", argv=("sleep", "4734.25"))))
    owner = start_owner("test-group-dead", "4735.25")
    await until(lambda: len(host_pids("4735.25")) > 1 and host_pids("4734.25"))
    owner.send_signal(signal.SIGKILL)
    owner.wait()
    assert left(place, owner.pid) != []
    too_young = await grouped.sweep(older_than_s=3600)
    swept = await grouped.sweep()
    assert ("test-group-dead" in too_young, "test-group-dead" in swept) == (False, True)
    assert (left(place, owner.pid), host_pids("4735.25")) == ([], [])
    assert (mine.done(), left(place, os.getpid()) != []) == (False, True)
    mine.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await mine


async def test_a_sweep_kills_what_a_dead_owner_left_running(grouped: BubblewrapBackend, place: Place) -> None:
    groups = open_groups(POLICY)
    assert groups is not None
    group = groups.new("test-group-stray", POLICY)
    stray = await asyncio.create_subprocess_exec("sleep", "4736.25")
    group.add(stray.pid)
    groups.close()
    swept = await grouped.sweep()
    assert await asyncio.wait_for(stray.wait(), 10) == -signal.SIGKILL
    assert "test-group-stray" in swept


async def test_the_doctor_is_told_which_bound_is_in_force(grouped: BubblewrapBackend) -> None:
    parts, opens = await grouped.describe()
    assert parts["memory"].startswith("control group (v")
    assert not [line for line in opens if "sampled" in line]


async def test_without_a_group_memory_is_sampled_as_before() -> None:
    backend = await asyncio.to_thread(BubblewrapBackend, POLICY, with_groups=False)
    parts, opens = await backend.describe()
    bomb = await backend.run(python("test-sampled", FORKING_BOMB))
    filler = await backend.run(python("test-sampled-memfd", MEMFD_FILLER))
    await backend.close()
    assert parts["memory"].startswith("sampled")
    assert [line for line in opens if "sampled" in line]
    assert (bomb.status, bomb.limits_hit) == ("out_of_memory", ("memory_bytes",))
    assert (filler.status, "PermissionError" in filler.stderr.head) == ("failed", True)


def test_a_group_the_kernel_refuses_leaves_nothing(place: Place) -> None:
    groups = open_groups(POLICY)
    assert groups is not None
    with pytest.raises(OSError, match="Invalid argument"):
        groups.new("test-group-refused", Policy(memory_bytes=-7))
    groups.close()
    assert left(place, os.getpid()) == []
