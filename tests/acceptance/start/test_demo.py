"""`coo demo`: a whole mission with nothing set up, and nothing left of it, however it ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

import psutil
import pytest
from acceptance.running import COO, SIMPLE, environment, until


class Demo:
    """One `coo demo` in a temporary folder of its own, with what it wrote so far."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "tmp").mkdir(parents=True)
        cache = "/var/cache/coo-sandbox" if os.geteuid() == 0 else "~/.cache/coo-sandbox"
        box = {"COO_SANDBOX__RUNTIME_DIR": str(Path(cache).expanduser())}
        self.env = environment(folder, {**SIMPLE, **box, "TMPDIR": str(folder / "tmp")})
        self._out = folder / "out"

    def start(self, *args: str, env: Mapping[str, str] = {}) -> None:
        with self._out.open("wb") as out:
            self.process = subprocess.Popen(
                [*COO, "demo", *args],
                env={**self.env, **env},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                cwd=self.folder,
                start_new_session=True,
            )

    @property
    def said(self) -> str:
        return self._out.read_text()

    def until_said(self, words: str) -> None:
        until(lambda: words in self.said or self.process.poll() is not None, what=words)

    def ended(self) -> int:
        return self.process.wait(60)

    def left(self) -> list[str]:
        """Return every process that was started for this demo and lives, and every file it left."""
        alive = [f"{p.pid} {p.info['name']}" for p in psutil.process_iter(["name"]) if self._is_mine(p)]
        return [*alive, *map(str, (self.folder / "tmp").iterdir())]

    def _is_mine(self, process: psutil.Process) -> bool:
        try:
            if process.status() == psutil.STATUS_ZOMBIE:
                return False
            texts = [*process.cmdline(), *process.environ().values()]
        except psutil.Error:
            return False
        return any(str(self.folder) in text for text in texts)


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[Demo]:
    demo = Demo(tmp_path / "demo")
    yield demo
    if demo.process.poll() is None:
        demo.process.kill()
        demo.process.wait()


def test_a_demo_shows_a_whole_mission_and_leaves_nothing(demo: Demo) -> None:
    demo.start()
    assert demo.ended() == 0, demo.said
    lines = demo.said.splitlines()
    at = [
        next(n for n, line in enumerate(lines) if words in line)
        for words in (
            "Ready in ",
            "scripted model: canned answers, invented prices",
            "sandbox   run        ✘ exit 1",
            "engineer  code       task 1/2: 1 file",
            "qa        review     ✔ task 2/2 approved",
            "approval  asks",
            "In this demo nobody has to: it approves itself.",
            "ceo       approve    approved by coo demo itself: nobody was asked",
            "✔ completed in ",
            "Cost: nothing.",
            "Look at it with the nats command",
            "The company is stopped, its data removed.",
        )
    ]
    assert at == sorted(at)
    assert demo.left() == []


def test_a_demo_as_json_ends_with_its_result(demo: Demo) -> None:
    demo.start("--json")
    assert demo.ended() == 0, demo.said
    told = [json.loads(line) for line in demo.said.splitlines() if line.startswith("{")]
    result = next(line for line in told if line.get("type") == "coo.cli.result")
    assert (result["state"], result["scripted"], result["authority"]) == ("completed", True, "enforced")
    assert result["spent_usd"] == "0.034624"


def test_a_kept_demo_waits_and_prints_the_line_that_shows_its_log(demo: Demo) -> None:
    demo.start("--keep")
    demo.until_said("Ctrl-C ends it.")
    (folder,) = (demo.folder / "tmp").iterdir()
    assert f"(. {folder}/run/nats.env; nats --inbox-prefix _INBOX_admin stream view COO)" in demo.said
    shown = subprocess.run(
        ["sh", "-c", f". {folder}/run/nats.env; echo $NATS_USER $NATS_URL"], capture_output=True, text=True
    )
    assert shown.stdout.startswith("admin nats://127.0.0.1:")
    demo.process.send_signal(signal.SIGINT)
    assert demo.ended() == 0
    assert demo.left() == []


MOMENTS = ["", "Ready in ", "ceo       mission", "✘ exit 1", "asks", "completed in "]


@pytest.mark.parametrize("words", MOMENTS)
def test_ctrl_c_at_any_moment_of_a_demo_leaves_nothing(demo: Demo, words: str) -> None:
    demo.start()
    demo.until_said(words)
    demo.process.send_signal(signal.SIGINT)
    assert demo.ended() in (130, 0 if words == "completed in " else 130, -signal.SIGINT)
    assert "Traceback" not in demo.said
    assert demo.left() == []


@pytest.mark.parametrize("started", [1, 2, 5, 8])
def test_ctrl_c_while_a_demo_starts_leaves_nothing(demo: Demo, started: int) -> None:
    demo.start()
    family = psutil.Process(demo.process.pid)
    until(lambda: len(family.children(recursive=True)) >= started, what=f"{started} processes")
    demo.process.send_signal(signal.SIGINT)
    assert demo.ended() == 130
    assert "Traceback" not in demo.said
    assert demo.left() == []


@pytest.mark.parametrize("words", ["Ready in ", "✘ exit 1"])
def test_what_a_killed_demo_left_is_gone_with_the_next(demo: Demo, words: str) -> None:
    demo.start()
    demo.until_said(words)
    demo.process.kill()
    demo.ended()
    (folder,) = (demo.folder / "tmp").glob("coo-ephemeral-*")
    until(lambda: demo.left() == [str(folder)], what="every process ended")
    demo.start()
    assert demo.ended() == 0, demo.said
    assert demo.left() == []
