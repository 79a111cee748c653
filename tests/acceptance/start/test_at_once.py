"""Several `coo up` on one data directory at once: one runs, the others say which."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from acceptance.running import COO, Company, until


@pytest.fixture
def company(tmp_path: Path) -> Iterator[Company]:
    company = Company(tmp_path)
    yield company
    company.coo("down", "--now")


@pytest.mark.parametrize("starts", [["-d"] * 2, ["-d"] * 5, ["-d", "--json", "-d", "--json"]])
def test_of_several_starts_at_once_one_wins_and_the_others_say_which(
    company: Company, tmp_path: Path, starts: list[str]
) -> None:
    said = [tmp_path / f"said-{number}" for number in range(len(starts))]
    processes = []
    for how, file in zip(starts, said, strict=True):
        with file.open("w") as output:
            processes.append(
                subprocess.Popen(
                    [*COO, "up", how, "--port", "auto"],
                    env=company.env,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                )
            )
    others = len(starts) - 1
    until(lambda: sum(process.poll() == 8 for process in processes) == others, what="the others are refused")
    until(lambda: (company.data_dir / "run" / "run.json").exists(), what="one runs")
    won = next(process for process in processes if process.poll() != 8)
    pid = company.run["pid"]
    for process, file in zip(processes, said, strict=True):
        if process is not won:
            assert f"is in use by coo up (pid {pid}, since " in file.read_text(), file.read_text()
            assert "coo down" in file.read_text()
    done = company.coo("mission", "Write fizzbuzz", "--budget", "1", "--wait")
    assert done.returncode == 0, done.stderr
    assert company.json("down") == {"status": "stopped"}
    assert won.wait(60) == 0


def test_a_start_that_is_cut_off_gives_the_lock_back(company: Company) -> None:
    process = subprocess.Popen(
        [*COO, "up", "-d", "--port", "auto"], env=company.env, stderr=subprocess.DEVNULL, text=True
    )
    while not (company.data_dir / "lock").exists():
        assert process.poll() is None
    process.terminate()
    process.wait(60)
    company.coo("down", "--now")
    assert company.coo("up", "-d", "--port", "auto").returncode == 0
