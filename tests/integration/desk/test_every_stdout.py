"""Every command on every stdout that there is: closed, full, left by its reader, not UTF-8."""

from __future__ import annotations

import asyncio
import subprocess
from pathlib import Path
from typing import Any

import pytest
from every_command import COO, READS, WRITES, documented, each

pytestmark = pytest.mark.slow

STREAMS = {
    "stdout closed": '"$@" >&-',
    "all closed": '"$@" <&- >&- 2>&-',
    "disk full": '"$@" >/dev/full',
    "reader gone": '"$@" | true; exit ${PIPESTATUS[0]}',
    "ascii": 'export LC_ALL=C PYTHONUTF8=0 PYTHONCOERCECLOCALE=0 PYTHONIOENCODING=ascii; "$@"',
}


@pytest.mark.parametrize("streams", STREAMS)
async def test_every_command_ends_with_a_documented_code_on_any_stdout(
    streams: str, desk: Any, nats: Any, tmp_path: Path
) -> None:
    said = await desk("mission", "Say hello — ✔", "--budget", "1")
    about = {
        "mission": said.out.strip(),
        "seq": "1",
        "dead": "1",
        "folder": str(tmp_path / "out"),
        "config": str(tmp_path / "nothing.yaml"),
    }
    env = {**desk.env, "COO_SANDBOX__DOCKER_HOST": "unix:///nonexistent"}
    argvs = [
        [*name.split(), *(word.format(**about) for word in words)]
        for name, ways in {**READS, **WRITES}.items()
        for words in ways
    ]

    def typed(argv: list[str]) -> subprocess.CompletedProcess[bytes]:
        script = ["bash", "-c", STREAMS[streams], "-", *COO, *argv]
        return subprocess.run(
            script, env=env, stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=120
        )

    for argv, done in zip(argvs, await each(typed, argvs), strict=True):
        words = done.stdout + done.stderr
        assert done.returncode in documented(argv), (argv, done)
        for bug in (b"Traceback", b"bug in coo", b"Exception ignored", b"Errno"):
            assert bug not in words, (argv, done)
        if streams == "disk full" and done.returncode == 10:
            assert b"stdout took no more" in done.stderr, (argv, done)


async def test_a_mission_is_given_and_its_files_are_written_though_the_reader_left(
    desk: Any, company: Any, tmp_path: Path
) -> None:
    """`coo mission --follow --out DIR | head`: what was asked for is done, only the showing ends."""
    out = tmp_path / "files"
    script = '"$@" | head -n 2; exit ${PIPESTATUS[0]}'
    order = ["mission", "Say hello", "--budget", "1", "--follow", "--out", str(out)]
    async with company():
        process = await asyncio.create_subprocess_exec(
            *["bash", "-c", script, "-", *COO, *order],
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=desk.env,
        )
        shown, said = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 10
    assert len(shown.splitlines()) == 2
    assert (out / "greet.py").read_text() == 'print("hello")\n'
    assert b"2 files written" in said


async def test_following_ends_when_its_reader_leaves_and_the_mission_goes_on(desk: Any, nats: Any) -> None:
    """Nobody serves the mission, so that it never rests."""
    name = (await desk("mission", "Say hello", "--budget", "1")).out.strip()
    script = '"$@" | head -n 1; exit ${PIPESTATUS[0]}'
    process = await asyncio.create_subprocess_exec(
        *["bash", "-c", script, "-", *COO, "follow", name],
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=desk.env,
    )
    _, said = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 10
    assert b"The mission goes on" in said
