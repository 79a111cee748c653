"""What the sandbox performer keeps of a run: byte for byte, bounded, and nothing that was not asked for."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from actors import messages as m
from actors.performers.programs import SandboxPerformer
from actors.table import TABLE
from bus import blobs
from bus.envelope import Mail
from bus.memory import MemoryServer
from bus.server.topology import topology
from sandbox import Policy, choose_backend

BYTES = (
    "import sys; sys.stdout.buffer.write(bytes(range(256))); sys.stderr.write(sys.stdin.read()); sys.exit(3)"
)
FLOOD = "import sys; sys.stdout.write('x' * 300_000)"
HUGE = "open('huge', 'wb').write(bytes(9 << 20)); open('small', 'w').write('s')"
MAKES = "open('made', 'w').write('new'); open('other', 'w').write('x'); open('old', 'w').write('changed')"
DAEMON = """
import os, time
if os.fork() == 0:
    os.setsid()
    time.sleep(60)
print("gone")
"""


class Bench:
    """A performer beside a log in memory."""

    def __init__(self) -> None:
        self.server = MemoryServer(topology(TABLE, ack_wait_s=3))
        self.carrier: Any = self.server.connect()

        async def find() -> Any:
            return await choose_backend("bubblewrap", Policy())

        self.performer = SandboxPerformer(self.carrier, find, runs=2, most_bytes=Policy().workspace_bytes)

    async def run(self, code: str, **order: Any) -> m.Outcome:
        execute = m.Execute(run="case-x", number=0, rework=0, argv=("python3", "-c", code), **order)
        mail = Mail(
            seq=1, now_ns=time.time_ns(), mission="m", to="sandbox", kind="execute", sender="qa", id="i",
            message=execute, cause="",
        )  # fmt: skip
        outcome = await self.performer.perform(mail)
        assert isinstance(outcome, m.Outcome)
        return outcome

    async def content(self, refs: m.Manifest) -> dict[str, bytes]:
        return {name: await blobs.get(self.carrier, ref) for name, ref in refs.items()}


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    bench = Bench()
    yield bench
    await bench.performer.close()
    bench.server.close()


async def test_a_recorded_run_shows_every_byte_and_its_input(bench: Bench) -> None:
    outcome = await bench.run(BYTES, record=True, stdin="äöü\n")
    assert await bench.content(outcome.recorded) == {
        "exit_code": b"3",
        "stdout": bytes(range(256)),
        "stderr": "äöü\n".encode(),
    }
    assert (outcome.kept, outcome.cut) == ({}, False)


async def test_a_run_that_nobody_records_stores_nothing(bench: Bench) -> None:
    outcome = await bench.run(BYTES)
    assert (outcome.recorded, outcome.kept, outcome.cut) == ({}, {}, False)


async def test_only_what_it_made_or_changed_of_the_paths_asked_for_is_kept(bench: Bench) -> None:
    old = await blobs.put(bench.carrier, "coo", b"as it was")
    outcome = await bench.run(MAKES, files={"old": old, "same": old}, keep=("made", "old", "same", "absent"))
    assert await bench.content(outcome.kept) == {"made": b"new", "old": b"changed"}


async def test_a_flood_is_cut_and_says_so(bench: Bench) -> None:
    outcome = await bench.run(FLOOD, record=True)
    assert outcome.cut
    assert outcome.recorded["stdout"].size < 300_000


async def test_files_far_too_big_to_keep_are_left_and_that_is_said(bench: Bench) -> None:
    outcome = await bench.run(HUGE, record=True, keep=("huge", "small"))
    assert (outcome.status, set(outcome.kept), outcome.cut) == ("ok", {"small"}, True)
    assert set(outcome.recorded) == {"exit_code", "stdout", "stderr"}


async def test_what_never_ends_shows_the_word_for_it(bench: Bench) -> None:
    outcome = await bench.run("while True: pass", record=True, timeout_s=1)
    assert outcome.status == "timeout"
    assert (await bench.content(outcome.recorded))["exit_code"] == b"timeout"


async def test_a_daemon_does_not_outlive_its_run(bench: Bench) -> None:
    began = time.monotonic()
    outcome = await bench.run(DAEMON, record=True)
    assert (await bench.content(outcome.recorded))["stdout"] == b"gone\n"
    assert time.monotonic() - began < 30
