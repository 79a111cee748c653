"""A mission on each backend, and on none."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest
from running import running_company

from sandbox import Policy, Unavailable, choose_backend

GOAL = "Write fizzbuzz"


@pytest.fixture
def docker_engine() -> None:
    """Skip with the reason where Docker cannot run programs; fail instead when it is required."""

    async def probe() -> None:
        await (await choose_backend("docker", Policy())).close()

    try:
        asyncio.run(probe())
    except Unavailable as error:
        if os.environ.get("COO_REQUIRE_DOCKER") == "1":
            pytest.fail(f"{error.reason}: {error.fix}")
        pytest.skip(error.reason)


def delivered(tmp_path: Path, backend: str) -> dict[str, bytes]:
    folder = tmp_path / backend
    with running_company(folder, env={"COO_SANDBOX__BACKEND": backend}) as company:
        out = folder / "out"
        done = company.coo("mission", GOAL, "--budget", "1", "--wait", "--out", str(out))
        assert done.returncode == 0, done.stdout + done.stderr
        return {str(path.relative_to(out)): path.read_bytes() for path in out.rglob("*") if path.is_file()}


@pytest.mark.docker
@pytest.mark.usefixtures("docker_engine")
def test_a_mission_delivers_the_same_on_docker_and_on_bubblewrap(tmp_path: Path) -> None:
    on_docker = delivered(tmp_path, "docker")
    assert on_docker
    assert on_docker == delivered(tmp_path, "bubblewrap")


def test_without_any_isolation_a_mission_stops_and_says_what_to_do(tmp_path: Path) -> None:
    env = {
        "COO_SANDBOX__BACKEND": "auto",
        "COO_SANDBOX__IMAGE": "coo-no-such-image:latest",
        "COO_SANDBOX__RUNTIME_DIR": "/proc/nowhere",
    }
    with running_company(tmp_path, env=env) as company:
        done = company.coo("mission", GOAL, "--budget", "1", "--wait")
        assert done.returncode == 4, done.stdout + done.stderr
        shown = company.json("show")
        assert shown["status"] == "paused_error"
        assert "bubblewrap" in shown["reason"]
        assert "coo sandbox build" in shown["fix"] or "Docker" in shown["fix"] or "docker" in shown["fix"]
