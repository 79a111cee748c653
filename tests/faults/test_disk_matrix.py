"""A disk without room, without inodes or read-only, wherever it is and whoever dies meanwhile."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from random import Random

import pytest
from running import ACTORS, Company, lives, until
from test_kills import GOAL, done, log_of

from actors.process.strikes import Strikes, count_dead

Undo = Callable[[], None]

PLACES = {"server only": "nats", "supervisor files": "run", "one actor killed meanwhile": ""}
"""What is on the small disk: the whole data directory, or one folder of it."""


def mount(*words: str) -> None:
    subprocess.run(["mount", *words], check=True, capture_output=True)


@pytest.fixture
def disks() -> Iterator[Callable[[Path], None]]:
    """Make small file systems, gone after the test."""
    made: list[Path] = []

    def make(folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        try:
            mount("-t", "tmpfs", "-o", "size=16m,mode=700,nr_inodes=400", "tmpfs", str(folder))
        except (OSError, subprocess.CalledProcessError):
            pytest.skip("only root can mount a small file system, and not everywhere")
        made.append(folder)

    yield make
    for folder in made:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def full(folder: Path) -> Undo:
    ballast = folder / "ballast"
    with ballast.open("wb", buffering=0) as file, suppress(OSError):
        while file.write(bytes(4096)):
            pass
    return ballast.unlink


def no_inodes(folder: Path) -> Undo:
    made: list[Path] = []
    with suppress(OSError):
        while True:
            path = folder / f"empty-{len(made)}"
            path.touch()
            made.append(path)

    def undo() -> None:
        for path in made:
            path.unlink()

    return undo


def read_only(folder: Path) -> Undo:
    """Put the same folder on top of itself, read-only: files that are open stay as they are."""
    mount("--bind", str(folder), str(folder))
    mount("-o", "remount,bind,ro", str(folder))

    def undo() -> None:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)

    return undo


FAULTS = {"full": full, "no inodes": no_inodes, "read-only": read_only}


def all_is_well(company: Company, missions: list[str]) -> None:
    for mission in missions:
        until(lambda mission=mission: done(company, mission), timeout_s=180, what=f"{mission} completed")
    ids = [stored.headers["ce-id"] for stored in log_of(company)]
    assert len(ids) == len(set(ids))
    verified = company.coo("verify", "--all")
    assert verified.returncode == 0, verified.stdout + verified.stderr
    assert company.coo("audit").returncode == 0


STRIKE = """
import sys
from pathlib import Path
from actors.process.strikes import Strikes
strikes = Strikes(Path(sys.argv[1]))
for seq in range(100):
    strikes.strike("qa", seq)
strikes.enter("qa", 7)
"""


def test_marks_and_strikes_need_no_room_that_the_disk_has_not_given(
    disks: Callable[[Path], None], tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    disks(folder)
    (folder / "old").touch()
    Strikes(folder / "there").close()
    full(folder)

    def strike(name: str) -> subprocess.CompletedProcess[str]:
        argv = [sys.executable, "-c", STRIKE, str(folder / name)]
        return subprocess.run(argv, capture_output=True, text=True, check=False)

    assert strike("there").returncode == 0
    assert count_dead(folder / "there") == [("qa", 7, 2)]
    for name in ("old", "new"):  # an error that says so, not a signal that ends the process
        done = strike(name)
        assert (done.returncode, "No space left on device" in done.stderr) == (1, True)


@pytest.mark.slow
@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("place", PLACES)
def test_a_company_says_what_its_disk_lacks_and_goes_on_when_it_has_it(
    disks: Callable[[Path], None], tmp_path: Path, fault: str, place: str
) -> None:
    company = Company(tmp_path)
    folder = company.data_dir / PLACES[place]
    disks(folder)
    victim = Random(f"{fault} {place}").choice(ACTORS)
    try:
        company.start()
        missions = [company.coo("mission", GOAL, "--budget", "1", "--id", key).stdout.strip() for key in "ab"]
        undo = FAULTS[fault](folder)
        if place != "server only":
            company.kill(victim)
            stuck = until(lambda: company.happened("stuck", victim), what="who died is said to wait")
            assert str(company.data_dir / "run") in stuck[0]["reason"]
            assert until(lambda: company.happened("stuck", "coo up"), what="coo up says so")
        if place != "supervisor files":
            until(lambda: company.happened("stuck", "nats-server"), what="the server is said to wait")
        assert company.process is not None
        assert company.process.poll() is None
        assert company.coo("ls").returncode == 0  # reading goes on
        undo()
        if place != "server only":
            until(lambda: company.happened("started", "coo up"), what="coo up says that it is over")
            until(lambda: victim in company.pids, what="who died runs again, and that is known")
        all_is_well(company, missions)
        assert not [event for event in company.events if event["event"] == "gave_up"]
        assert company.stop() == 0
    finally:
        company.close()


@pytest.mark.slow
@pytest.mark.parametrize("fault", FAULTS)
def test_a_company_without_a_terminal_outlives_a_disk_that_takes_nothing(
    disks: Callable[[Path], None], tmp_path: Path, fault: str
) -> None:
    company = Company(tmp_path)
    disks(company.data_dir)
    try:
        told = company.json("up", "-d", "--port", "auto")
        mission = company.coo("mission", GOAL, "--budget", "1", "--id", "a").stdout.strip()
        undo = FAULTS[fault](company.data_dir)
        for victim in ("engineer", "nats-server"):
            os.kill(company.pids[victim], 9)
        until(lambda: not lives(told["actors"]["engineer"]), what="it is dead")
        until(lambda: not lives(told["server"]["pid"]), what="it is dead")
        undo()
        until(lambda: lives(company.pids["nats-server"]) and lives(company.pids.get("engineer", 0)))
        assert company.run["pid"] == told["pid"]
        assert lives(told["pid"])
        all_is_well_detached(company, mission)
        assert company.json("down") == {"status": "stopped"}
    finally:
        company.coo("down", "--now")


def all_is_well_detached(company: Company, mission: str) -> None:
    assert company.coo("follow", mission, "--timeout", "120s", timeout_s=150).returncode == 0
    assert company.coo("verify", "--all").returncode == 0
    lines = (company.data_dir / "logs" / "up.log").read_text().splitlines()
    assert not [line for line in lines if '"gave_up"' in line]
    assert all(json.loads(line) for line in lines if line.startswith("{") and line.endswith("}"))
