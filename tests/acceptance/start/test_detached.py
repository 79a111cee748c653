"""`coo up -d`, `coo down`, `--ephemeral`, and starting again after whatever ended the last one."""

from __future__ import annotations

import json
import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from acceptance.running import Company, lives, until


@pytest.fixture
def company(tmp_path: Path) -> Iterator[Company]:
    company = Company(tmp_path)
    (tmp_path / "tmp").mkdir()
    company.env["TMPDIR"] = str(tmp_path / "tmp")
    yield company
    company.coo("down", "--now")
    company.close()


def detached(company: Company, *args: str) -> dict[str, Any]:
    """Type `coo up -d --json` and return what it said when the company was ready."""
    told: dict[str, Any] = company.json("up", "-d", "--port", "auto", *args)
    return told


def pids(told: dict[str, Any]) -> list[int]:
    return [told["pid"], told["server"]["pid"], *told["actors"].values()]


def test_a_detached_company_works_until_it_is_taken_down(company: Company) -> None:
    told = detached(company)
    assert all(lives(pid) for pid in pids(told))
    assert company.coo("mission", "Write fizzbuzz", "--budget", "1", "--wait").returncode == 0
    again = company.coo("up", "-d", "--port", "auto")
    assert again.returncode == 8
    assert "coo down" in again.stderr
    assert company.json("down") == {"status": "stopped"}
    assert not any(lives(pid) for pid in pids(told))
    assert company.json("down") == {"status": "already_stopped"}
    assert company.coo("mission", "Write fizzbuzz", "--budget", "1").returncode == 6


def test_a_person_is_told_how_to_end_it(company: Company) -> None:
    done = company.coo("up", "--detach", "--port", "auto")
    assert done.returncode == 0, done.stderr
    assert f"stop it: coo down --data-dir {company.data_dir}" not in done.stdout
    assert done.stdout.splitlines()[0].endswith("stop it: coo down")
    assert "Try it:    coo mission" in done.stdout
    assert company.coo("down").stdout == "stopped\n"


def test_down_now_kills_what_does_not_end(company: Company) -> None:
    told = detached(company)
    os.kill(told["actors"]["engineer"], signal.SIGSTOP)  # it can not finish anything now
    assert company.json("down", "--now") == {"status": "stopped"}
    assert not any(lives(pid) for pid in pids(told))


def test_a_detached_start_that_fails_says_why_and_leaves_nothing(company: Company) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = company.coo("up", "-d", "--port", str(port))
    assert done.returncode == 8
    assert f"Cannot listen on 127.0.0.1:{port}" in done.stderr
    assert company.json("down") == {"status": "already_stopped"}
    detached(company)


def test_ephemeral_data_is_gone_when_the_company_is(company: Company) -> None:
    del company.env["COO_DATA_DIR"]
    told = detached(company, "--ephemeral")
    folder = Path(told["data_dir"])
    assert folder.parent == Path(company.env["TMPDIR"])
    given = ("--data-dir", str(folder))
    assert company.coo("mission", "Write fizzbuzz", "--budget", "1", "--wait", *given).returncode == 0
    assert company.json("down", *given) == {"status": "stopped"}
    assert list(folder.parent.iterdir()) == []


def test_data_that_is_worth_something_is_never_taken_for_ephemeral(company: Company) -> None:
    company.data_dir.mkdir()
    (company.data_dir / "precious").touch()
    done = company.coo("up", "--ephemeral", "--port", "auto")
    assert done.returncode == 2
    assert "which --ephemeral would remove" in done.stderr
    assert (company.data_dir / "precious").exists()


@pytest.mark.parametrize("started", [0, 1, 2, 5, 8])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_whenever_a_start_is_cut_off_the_next_one_works(
    company: Company, started: int, number: signal.Signals
) -> None:
    company.begin()
    until(lambda: len(company.family()) >= started, what=f"{started} processes")
    family = company.family()
    company.stop(number)
    until(lambda: not [p.pid for p in family if lives(p.pid)], what="everything ends")
    company.start()
    assert company.stop() == 0


def test_a_mission_under_way_when_everything_is_killed_goes_on_with_the_next_start(company: Company) -> None:
    company.start()
    given = company.json("mission", "Build a CSV to JSON converter with tests", "--budget", "1")
    until(lambda: company.json("show", given["mission"])["tasks"], what="it is under way")
    company.stop(signal.SIGKILL)
    company.start()
    assert company.coo("follow", given["mission"]).returncode == 0


def test_two_companies_side_by_side(company: Company, tmp_path: Path) -> None:
    other = Company(tmp_path / "a path with spaces")
    try:
        first, second = company.start(), other.start()
        assert first["url"] != second["url"]
        for each in (company, other):
            assert each.coo("mission", "Write fizzbuzz", "--budget", "1", "--wait").returncode == 0
            assert len(each.json("ls")) == 1
    finally:
        other.close()


def test_a_taken_default_port_says_what_to_do(company: Company) -> None:
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            taken.bind(("127.0.0.1", 4222))
            taken.listen()
        except OSError:
            pass  # somebody else has it already, which is as good
        done = company.coo("up")
    assert done.returncode == 8
    assert "Cannot listen on 127.0.0.1:4222" in done.stderr
    assert "--port auto" in done.stderr


def test_every_part_has_a_version(company: Company) -> None:
    told = company.json("--version")
    assert list(told) == ["coo", "python", "nats-py", "nats-server", "docker", "bubblewrap", "os"]
    assert "sha256 ok" in told["nats-server"]
    assert company.coo("--version").stdout.splitlines()[0].split() == ["coo", told["coo"]]
    json.dumps(told)
