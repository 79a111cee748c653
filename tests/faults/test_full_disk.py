"""A disk that fills up amid missions: nothing is lost, a person is told, and room alone lets it go on."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from running import Company, until
from test_kills import GOAL, done, files_of, log_of

KIB = 1024


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Mount a file system of 8 MiB where the company's store will be."""
    folder = tmp_path / "company" / "nats"
    folder.mkdir(parents=True)
    folder.parent.chmod(0o700)
    mount = ["mount", "-t", "tmpfs", "-o", "size=8m,mode=700", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("only root can mount a small file system, and not everywhere")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(folder: Path, left_bytes: int) -> Path:
    disk = os.statvfs(folder)
    ballast = folder / "ballast"
    ballast.write_bytes(bytes(max(0, disk.f_bfree * disk.f_frsize - left_bytes)))
    return ballast


@pytest.mark.slow
def test_a_full_disk_stops_the_company_and_room_lets_it_go_on(small_disk: Path, tmp_path: Path) -> None:
    company = Company(tmp_path)
    try:
        company.start()
        keys = ["a", "b", "c"]
        missions = [company.coo("mission", GOAL, "--budget", "1", "--id", key).stdout.strip() for key in keys]
        ballast = fill(small_disk, 32 * KIB)
        log = company.data_dir / "logs" / "nats-server.log"
        until(lambda: "ritical write error" in log.read_text(), what="a write fails")
        stuck = until(lambda: company.happened("stuck", "nats-server"), what="the CEO is told")
        assert "no space left on device" in stuck[0]["reason"]
        assert company.coo("ls").returncode == 0  # reading goes on
        until(lambda: len(log_of(company)) > 3, what="the log can be read")

        ballast.unlink()
        until(lambda: company.happened("started", "nats-server"), what="the server runs again")
        for mission in missions:
            until(lambda mission=mission: done(company, mission), timeout_s=120, what=f"{mission} completed")
        files = []
        for mission in missions:
            out = tmp_path / mission
            assert company.coo("artifacts", "get", mission, "--out", str(out)).returncode == 0
            files.append(files_of(out))
        assert files[0] == files[1] == files[2] != {}
        ids = [stored.headers["ce-id"] for stored in log_of(company)]
        assert len(ids) == len(set(ids))
        verified = company.coo("verify", "--all")
        assert verified.returncode == 0, verified.stdout + verified.stderr
        assert company.coo("audit").returncode == 0
        assert not company.happened("gave_up", "nats-server")
    finally:
        company.close()
