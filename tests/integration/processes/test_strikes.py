"""The file of marks and strikes, between real processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from actors.process.strikes import _STRIKES, Strikes, count_dead

MARKS = """
import sys, time
from pathlib import Path
from actors.process.strikes import Strikes
strikes = Strikes(Path(sys.argv[1]))
strikes.enter("qa", 6)
strikes.leave()
if len(sys.argv) > 2:
    strikes.enter("qa", int(sys.argv[2]))
print("ready", flush=True)
time.sleep(600)
"""
SPINS = """
import re, sys
from pathlib import Path
from actors.process.strikes import Strikes
strikes = Strikes(Path(sys.argv[1]), cpu_s=0.2)
strikes.enter("qa", 7)
re.fullmatch("(a+)+b", "a" * 60)  # in C, for longer than anybody lives, and never back in the interpreter
"""

Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    started: list[subprocess.Popen[str]] = []

    def run(code: str, *args: object) -> subprocess.Popen[str]:
        argv = [sys.executable, "-c", code, str(tmp_path / "qa"), *map(str, args)]
        process = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)
        started.append(process)
        return process

    yield run
    for process in started:
        process.kill()
        process.communicate()


def ready(process: subprocess.Popen[str]) -> subprocess.Popen[str]:
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def test_the_mark_of_a_dead_process_is_one_strike_and_a_living_one_has_none(
    tmp_path: Path, start: Start
) -> None:
    dead, idle, living = (ready(start(MARKS, *args)) for args in ((5,), (), (9,)))
    for process in (dead, idle):
        process.kill()
        process.wait()
    assert count_dead(tmp_path / "qa") == [("qa", 5, 1)]
    assert count_dead(tmp_path / "qa") == []
    own = Strikes(tmp_path / "qa")
    try:
        assert {seq: own.strikes("qa", seq) for seq in (5, 6, 9)} == {5: 1, 6: 0, 9: 0}
        assert own.strikes("model-qa", 5) == 0
        assert living.poll() is None
    finally:
        own.close()


def test_the_next_process_counts_what_nobody_has_counted_and_others_see_it(
    tmp_path: Path, start: Start
) -> None:
    for _ in range(3):
        process = ready(start(MARKS, 5))
        process.kill()
        process.wait()
    own = Strikes(tmp_path / "qa")
    try:
        assert own.strikes("qa", 5) == 3
    finally:
        own.close()


def test_handled_mail_has_no_strikes_left(tmp_path: Path) -> None:
    own = Strikes(tmp_path / "qa")
    try:
        for seq in (5, 5, 8):
            own.strike("qa", seq)
        own.forgive("qa", 5)
        own.forgive("qa", 7)
        assert [own.strikes("qa", seq) for seq in (5, 7, 8)] == [0, 0, 1]
    finally:
        own.close()


def test_a_full_file_forgets_its_oldest_mail(tmp_path: Path) -> None:
    own = Strikes(tmp_path / "qa")
    try:
        for seq in range(1, _STRIKES + 2):
            own.strike("qa", seq)
        assert [own.strikes("qa", seq) for seq in (1, 2, _STRIKES + 1)] == [0, 1, 1]
    finally:
        own.close()


def test_a_decision_that_does_not_end_is_killed_by_the_kernel_even_in_c(tmp_path: Path, start: Start) -> None:
    process = start(SPINS)
    assert process.wait(30) == -signal.SIGPROF
    assert count_dead(tmp_path / "qa") == [("qa", 7, 1)]


def test_a_mark_costs_little_beside_a_decision(tmp_path: Path) -> None:
    own = Strikes(tmp_path / "qa")
    try:
        started = time.perf_counter()
        for seq in range(10_000):
            own.strikes("qa", seq)
            own.enter("qa", seq)
            own.leave()
        assert (time.perf_counter() - started) / 10_000 < 50e-6
    finally:
        own.close()
    assert os.stat(tmp_path / "qa").st_size < 16_384
