"""The walls hold: a line that a file may not have is refused by the import contracts, tried on a copy."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("actors", "bus", "config", "prompts", "sandbox")

LINT = """
import sys
sys.path.insert(0, "")
from importlinter.cli import lint_imports_command
lint_imports_command()
"""

INTRUSIONS = [
    # by what is imported, where it may not be
    ("actors/process/wiring.py", "import pydantic"),
    ("actors/process/main.py", "import typer"),
    ("actors/projections/record.py", "import typer"),
    ("actors/host/launch.py", "import rich"),
    ("actors/desk/limits.py", "import yaml"),
    ("bus/verify.py", "import nats"),
    ("bus/loops/past.py", "import nats"),
    ("bus/jetstream/carrier.py", "import nats"),
    ("actors/performers/clock.py", "import nats"),
    ("sandbox/order.py", "import docker"),
    ("sandbox/docker/backend.py", "import docker"),
    ("sandbox/docker/pool.py", "import requests"),
    ("bus/blobs.py", "import aiohttp"),
    ("actors/performers/model/purse.py", "import aiohttp"),
    ("prompts/manager.py", "import pydantic"),
    # what is pure has no clock, no chance and no loop
    ("actors/table.py", "import time"),
    ("bus/table.py", "import random"),
    ("actors/money.py", "import asyncio"),
    ("actors/roles/budget/ledger.py", "import asyncio"),
    ("actors/roles/worker.py", "import os"),
    ("actors/messages.py", "import uuid"),
    ("bus/fold.py", "import threading"),
    # floors: nothing below imports what stands above it
    ("bus/envelope.py", "import bus.loops.role"),
    ("bus/table.py", "import bus.fold"),
    ("bus/errors.py", "import bus.subjects"),
    ("bus/loops/role.py", "import bus.verify"),
    ("bus/subjects.py", "import actors.table"),
    ("sandbox/docker/engine.py", "import sandbox.choose"),
    ("sandbox/policy.py", "import sandbox.order"),
    ("sandbox/order.py", "import config.parts"),
    ("actors/messages.py", "import actors.table"),
    ("actors/roles/qa.py", "import actors.roles.engineer"),
    ("actors/roles/approval.py", "import actors.performers.clock"),
    ("actors/performers/programs.py", "import actors.roles.qa"),
    ("actors/projections/account.py", "import actors.desk.limits"),
    ("actors/desk/asking.py", "import actors.cli.screen"),
    ("actors/process/wiring.py", "import actors.host.launch"),
    ("actors/host/supervisor.py", "import actors.cli.screen"),
    ("actors/money.py", "import actors.messages"),
    # a file that nobody thought of is within its walls at once
    ("actors/roles/newcomer.py", "import time"),
    ("actors/desk/newcomer.py", "import aiohttp"),
    ("bus/loops/newcomer.py", "import nats"),
    ("bus/newcomer.py", "import bus.table"),
    ("actors/newcomer.py", "import actors.money"),
    ("sandbox/newcomer.py", "import sandbox.policy"),
]


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("walls")
    for name in PACKAGES:
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", folder)
    return folder


def linted(folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-P", "-c", LINT, "--no-cache"],
        cwd=folder,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_product_keeps_every_contract(copy: Path) -> None:
    done = linted(copy)
    assert (done.returncode, " 0 broken." in done.stdout) == (0, True), done.stdout


@pytest.mark.parametrize(("file", "line"), INTRUSIONS)
def test_an_intrusion_is_refused(copy: Path, file: str, line: str) -> None:
    path = copy / file
    before = path.read_text("utf-8") if path.exists() else None
    try:
        path.write_text(f"{before or ''}\n{line}\n", "utf-8")
        done = linted(copy)
        assert done.returncode == 1
        assert "BROKEN" in done.stdout or "not listed as layers" in done.stdout
        assert path.stem in done.stdout
    finally:
        if before is None:
            path.unlink()
        else:
            path.write_text(before, "utf-8")
