"""The built wheel carries everything it needs, and runs from anywhere."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", str(folder), str(ROOT)],
        check=True,
        capture_output=True,
    )
    (built,) = folder.glob("*.whl")
    return built


def test_the_wheel_has_what_is_not_python_and_no_tests(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    wanted = {
        "config/nats-server.conf",
        "config/company.yaml",
        "config/prices.yaml",
        "prompts/engineer.code.md",
        "actors/scripts/csv2json.yaml",
        "sandbox/image/Dockerfile",
        "sandbox/syscalls.txt",
    }
    assert wanted <= names
    assert not [name for name in names if name.startswith(("tests/", "bench/", "docs/"))]


def test_the_installed_commands_run_from_another_directory(wheel: Path, tmp_path: Path) -> None:
    target = tmp_path / "a place with spaces"
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", str(target), str(wheel)],
        check=True,
        capture_output=True,
    )
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(target), "HOME": str(tmp_path)}

    def run(*args: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, *args], env=env, cwd=tmp_path, capture_output=True, text=True, check=False
        )

    listed = run("-P", "-m", "actors.process", "list")
    assert listed.returncode == 0, listed.stderr
    assert "model-engineer" in listed.stdout
    shown = run("-P", "-m", "actors.desk.main", "config", "show", "--json")
    assert shown.returncode == 0, shown.stderr
    assert '"limits' in shown.stdout
    used = run("-P", "-c", "import bus, actors; print(bus.__file__); print(actors.__file__)")
    assert used.stdout.count(str(target)) == 2
