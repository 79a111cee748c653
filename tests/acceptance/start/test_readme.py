"""README's first screen is true: the transcript is what `coo demo` prints, links and commands exist."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from acceptance.running import COO
from test_demo import Demo

ROOT = Path(__file__).parents[3]
README = (ROOT / "README.md").read_text("utf-8")


def transcript() -> list[str]:
    found = re.search(r"^<!-- transcript.*?-->\n```text\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
    assert found
    return found[1].splitlines()


def shape(line: str) -> str:
    """Take out what differs from run to run: times, ids, ports, pids, and the sandbox's name."""
    line = re.sub(r"m-[a-z2-7]{12}", "MISSION", line)
    line = re.sub(r"\bsha256 [0-9a-f]{12}\b", "SHA", line)
    line = re.sub(r"\S*coo-ephemeral-\S+", "FOLDER", line)
    line = re.sub(r"^(  Sandbox    )\S+", r"\1ANY", line)
    return re.sub(r"\d+", "N", line).strip()


def test_the_transcript_is_what_the_demo_prints(tmp_path: Path) -> None:
    demo = Demo(tmp_path / "demo")
    demo.start()
    assert demo.ended() == 0, demo.said
    # The two runs of QA at the beginning of a review go out at once: they come back in any order.
    printed = sorted(shape(line) for line in demo.said.splitlines())
    shown = [shape(line) for line in transcript() if line.strip() not in ("", "…")]
    missing = [line for line in shown if line not in printed]
    assert missing == []
    assert 25 < len(shown) < 45


def test_the_first_two_commands_are_the_demo_and_the_tests() -> None:
    first, second = re.findall(r"^\$ (.*)$", README, re.MULTILINE)[:2]
    assert first.endswith(".venv/bin/coo demo")
    assert second.endswith(".venv/bin/python -m pytest")
    assert README.index(second) < README.index("<!-- transcript")


def test_every_link_to_a_file_leads_somewhere() -> None:
    for name in ("README.md", "SECURITY.md", "CONTRIBUTING.md", "docs/architecture.md"):
        text = (ROOT / name).read_text("utf-8")
        for target in re.findall(r"\]\(([^)#]+)\)", text):
            if "://" not in target:
                assert ((ROOT / name).parent / target).exists(), f"{name}: {target}"


def test_every_command_in_the_table_exists() -> None:
    table = README[README.index("## What you can type") : README.index("Every command has `--json`")]
    commands = set(re.findall(r"`coo ([a-z]+)", table))
    shown = subprocess.run([*COO, "--help"], capture_output=True, text=True, check=True).stdout
    known = set(re.findall(r"^  ([a-z]+)  ", shown, re.MULTILINE))
    assert commands <= known
    assert {"demo", "up", "mission", "approve"} <= commands
