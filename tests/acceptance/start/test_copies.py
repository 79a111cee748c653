"""A copied data directory is a company of its own: no command given to it reaches the original."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from acceptance.running import Company, in_loop, lives, until

from actors.cli.app import app
from bus.jetstream import connect

ANSWERS = {
    "goal": ["x"],
    "wanted": ["m-x"],
    "seq": ["1"],
    "reason": ["--reason", "x"],
    "target": ["--out", "out"],
}
"""What the required parameters of commands are given."""

ASKS = {("dlq", "replay"): ["1"], ("budget", "set"): ["--daily", "1"], ("budget", "raise"): ["+1"]}
"""What some commands want besides."""

STARTS = {"up"}


def on_a_data_directory() -> Iterator[list[str]]:
    """Return every command that is given a data directory, with what it requires."""
    waiting: list[tuple[list[str], Any]] = [([], typer.main.get_command(app))]
    while waiting:
        path, command = waiting.pop()
        below = getattr(command, "commands", {})
        waiting += [([*path, name], sub) for name, sub in below.items()]
        if not below and any(parameter.name == "data_dir" for parameter in command.params):
            required = [parameter.name for parameter in command.params if parameter.required]
            words = [word for name in required for word in ANSWERS[name]]
            yield [*path, *words, *ASKS.get(tuple(path), [])]


@pytest.fixture
def company(tmp_path: Path) -> Iterator[Company]:
    company = Company(tmp_path)
    yield company
    company.close()


def said_to(company: Company) -> int:
    """Return how much a company was told by people."""

    async def ask() -> int:
        ceo = await connect(company.url, user="ceo", password=company.credentials["ceo"])
        try:
            pages = [await ceo.read("COO", f"coo.m.*.*.*.{who}", 1) for who in ("ceo", "operator")]
            return sum(map(len, pages))
        finally:
            await ceo.close()

    return in_loop(ask)


def copied(company: Company, folder: Path) -> Company:
    """Copy a company's data directory as it is at this moment, as `cp -a` does.

    It is done anew when the server took away a file that was to be copied: it writes until it has ended, and
    it ends a moment after a company that was killed.
    """
    copy = Company(folder, company.env)
    copy.env["COO_DATA_DIR"] = str(copy.data_dir)

    def whole() -> bool:
        shutil.rmtree(copy.data_dir, ignore_errors=True)
        return not subprocess.run(["cp", "-a", str(company.data_dir), str(copy.data_dir)]).returncode

    until(whole, what="a copy in one go")
    return copy


def test_no_command_given_to_a_copy_of_a_running_company_reaches_the_original(
    company: Company, tmp_path: Path
) -> None:
    company.start()
    assert company.coo("mission", "Write fizzbuzz", "--budget", "1", "--id", "a", "--wait").returncode == 0
    copy = copied(company, tmp_path / "copy")
    told, pids, run = said_to(company), company.pids, company.run
    given = [words for words in on_a_data_directory() if words[0] not in STARTS]
    assert len(given) > 15
    for words in given:
        done = copy.coo(*words)
        if words[0] not in ("down", "logs"):
            assert done.returncode == 6, (words, done.stdout, done.stderr)
            assert f"No company is running on {copy.data_dir}" in done.stderr, words
        assert said_to(company) == told, words
        assert all(lives(pid) for pid in pids.values()), words
    assert copy.json("down", "--now") == {"status": "already_stopped"}
    assert (company.run, company.pids) == (run, pids)


@pytest.mark.parametrize("before", ["running", "stopped", "killed"])
def test_a_copy_and_its_original_run_side_by_side(company: Company, tmp_path: Path, before: str) -> None:
    company.start()
    assert company.coo("mission", "Write fizzbuzz", "--budget", "1", "--id", "a", "--wait").returncode == 0
    if before != "running":
        company.stop(signal.SIGINT if before == "stopped" else signal.SIGKILL)
    copy = copied(company, tmp_path / "copy")
    try:
        copy.start()
        if before != "running":
            company.start()
        assert copy.url != company.url
        for each, key in ((copy, "b"), (company, "c")):
            assert (
                each.coo("mission", "Write fizzbuzz", "--budget", "1", "--id", key, "--wait").returncode == 0
            )
            assert len(each.json("ls")) == 2
            assert each.coo("verify", "--all").returncode == 0
        assert copy.json("down") == {"status": "stopped"}
        assert copy.ended() == 0
        assert len(company.json("ls")) == 2
    finally:
        copy.close()


def test_a_company_whose_folder_was_renamed_is_found_and_what_took_its_place_is_not(
    company: Company, tmp_path: Path
) -> None:
    company.start()
    moved = tmp_path / "moved"
    company.data_dir.rename(moved)
    shutil.copytree(moved, company.data_dir)
    assert company.coo("ls").returncode == 6
    assert company.coo("ls", "--data-dir", str(moved)).returncode == 0
    assert company.json("down") == {"status": "already_stopped"}
    assert company.json("down", "--data-dir", str(moved)) == {"status": "stopped"}


def test_a_company_whose_folder_was_renamed_touches_nothing_in_its_place_and_goes_on_when_it_is_back(
    company: Company, tmp_path: Path
) -> None:
    company.start()
    moved = tmp_path / "moved"
    pids = company.pids
    company.data_dir.rename(moved)
    shutil.copytree(moved, company.data_dir)
    before = {path: path.read_bytes() for path in sorted((company.data_dir / "run").iterdir())}
    until(lambda: company.happened("stuck", "coo up"), what="coo up says so")
    for name in ("qa", "nats-server"):
        os.kill(pids[name], signal.SIGKILL)
        stuck = until(lambda name=name: company.happened("stuck", name), what="who died is said to wait")
        assert "was moved away while it runs" in stuck[0]["reason"]
    assert {path: path.read_bytes() for path in sorted((company.data_dir / "run").iterdir())} == before
    shutil.rmtree(company.data_dir)
    moved.rename(company.data_dir)
    until(lambda: company.happened("started", "coo up"), what="coo up goes on")
    company.until_restarted("nats-server", pids["nats-server"])
    company.until_restarted("qa", pids["qa"])
    company.until_serving()
    done = company.coo("mission", "Write fizzbuzz", "--budget", "1", "--id", "a", "--wait")
    assert done.returncode == 0, done.stderr
