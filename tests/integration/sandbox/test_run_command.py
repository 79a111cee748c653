"""`coo sandbox run`, typed as a person or a program types it."""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[3]


def typed(home: Path, *words: str, sandbox: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    settings = {f"COO_SANDBOX__{name}": value for name, value in (sandbox or {}).items()}
    return subprocess.run(
        [sys.executable, "-m", "actors.cli.app", "sandbox", "run", *words],
        cwd=home,
        env={"PATH": os.environ["PATH"], "HOME": str(home), "PYTHONPATH": str(ROOT), **settings},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.fixture
def on(choice: str, tmp_path: Path) -> Any:
    """Run a command on each backend in turn; the copy for bubblewrap is shared, for it takes seconds."""
    cache = str(Path("/var/cache/coo-sandbox" if os.geteuid() == 0 else "~/.cache/coo-sandbox").expanduser())

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        return typed(tmp_path, "--backend", choice, *words, sandbox={"RUNTIME_DIR": cache})

    return run


def test_it_has_the_programs_output_and_exit_code(on: Any) -> None:
    code = "import sys; print('out'); print('err', file=sys.stderr); sys.exit(3)"
    done = on("--", "python", "-c", code)
    assert (done.returncode, done.stdout, done.stderr) == (3, "out\n", "err\n")


def test_json_is_one_object_with_everything(on: Any, tmp_path: Path) -> None:
    (tmp_path / "in/deep").mkdir(parents=True)
    (tmp_path / "in/deep/a").write_text("hello")
    code = "import os; open('b', 'w').write(open('deep/a').read()[::-1]); os.symlink('b', 'c'); print('done')"
    words = ("--input", "in", "--out", "out", "--timeout", "20", "--json", "--", "python", "-c", code)
    done = on(*words)
    told = json.loads(done.stdout)
    assert (done.returncode, told["status"], told["exit_code"]) == (0, "ok", 0)
    assert (told["stdout"], told["stderr"], told["limits_hit"]) == ("done\n", "", [])
    assert told["files"] == [{"path": "b", "sha256": hashlib.sha256(b"olleh").hexdigest(), "size": 5}]
    assert told["skipped"] == [{"path": "c", "reason": "a symbolic link"}]
    assert told["wall_ms"] > 0
    assert (tmp_path / "out/b").read_text() == "olleh"
    assert not (tmp_path / "out/c").exists()


def test_an_end_that_is_not_its_own_is_70_with_its_name(on: Any) -> None:
    done = on("--timeout", "1", "--", "sleep", "30")
    assert (done.returncode, done.stderr) == (70, "coo: timeout: killed after 1 s\n")
    told = on("--timeout", "1", "--json", "--", "sleep", "30")
    assert (told.returncode, json.loads(told.stdout)["status"]) == (70, "timeout")


def test_a_program_that_is_not_there_is_127(on: Any) -> None:
    assert on("--", "no-such-program").returncode == 127


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--backend", "jail", "--", "true"), "There is no backend jail"),
        (("--timeout", "0", "--", "true"), "the time-out must be a positive number of seconds"),
        (("--", ""), "argv names no program"),
        (("--input", "nowhere", "--", "true"), "nowhere is not a folder"),
    ],
)
def test_a_wish_that_cannot_be_is_a_usage_error(tmp_path: Path, words: tuple[str, ...], says: str) -> None:
    done = typed(tmp_path, *words)
    assert (done.returncode, done.stdout) == (2, "")
    assert says in done.stderr
    assert "Traceback" not in done.stderr


def test_a_file_too_large_for_the_workspace_is_a_usage_error(tmp_path: Path) -> None:
    with (tmp_path / "huge").open("wb") as file:
        file.truncate(1 << 30)
    done = typed(tmp_path, "--input", ".", "--", "true")
    assert done.returncode == 2
    assert "does not fit into the workspace, which holds 128 MiB" in done.stderr


@pytest.mark.docker
def test_an_absent_image_is_not_started_with_the_fix(tmp_path: Path, image: str) -> None:
    done = typed(
        tmp_path, "--backend", "docker", "--json", "--", "true", sandbox={"IMAGE": "coo-sandbox:none"}
    )
    told = json.loads(done.stdout)
    assert (done.returncode, told["status"], told["fix"]) == (70, "not_started", "run `coo sandbox build`")


def test_an_absent_engine_is_not_started_with_the_fix(tmp_path: Path) -> None:
    settings = {"DOCKER_HOST": f"unix://{tmp_path}/none.sock"}
    done = typed(tmp_path, "--backend", "docker", "--", "true", sandbox=settings)
    assert (done.returncode, done.stdout) == (70, "")
    assert done.stderr.startswith("coo: not_started: nothing is at")
