"""`coo sandbox`: what isolates programs here, and an engine that cannot be used."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from acceptance.running import Company


@pytest.fixture
def company(tmp_path: Path) -> Company:
    return Company(tmp_path)


def test_an_engine_that_does_not_answer_is_one_clear_error(company: Company, tmp_path: Path) -> None:
    done = company.coo("sandbox", "build", env={"COO_SANDBOX__DOCKER_HOST": f"unix://{tmp_path}/no.sock"})
    assert done.returncode == 6
    assert done.stdout == ""
    what, fix = done.stderr.splitlines()
    assert what.startswith("coo: ")
    assert fix.strip()
    assert "Traceback" not in done.stderr


def test_a_doctor_says_what_works_and_what_does_not(company: Company, tmp_path: Path) -> None:
    env = {"COO_SANDBOX__DOCKER_HOST": f"unix://{tmp_path}/no.sock"}
    told = company.json("sandbox", "doctor", env=env)
    assert told["configured"] == "bubblewrap"
    found = {each["choice"]: each for each in told["backends"]}
    assert (found["docker"]["backend"], found["bubblewrap"]["backend"]) == (None, "bubblewrap")
    assert found["auto"]["backend"] == "bubblewrap"
    assert found["docker"]["fix"]
    done = company.coo("sandbox", "doctor", env=env)
    assert done.stdout.splitlines()[1:] == ["bubblewrap  works", "configured  bubblewrap: bubblewrap"]


def test_without_a_sandbox_a_doctor_fails_with_the_fix(company: Company, tmp_path: Path) -> None:
    env = {"COO_SANDBOX__DOCKER_HOST": f"unix://{tmp_path}/no.sock", "COO_SANDBOX__BACKEND": "docker"}
    done = company.coo("sandbox", "doctor", "--json", env=env)
    assert done.returncode == 6
    assert json.loads(done.stdout)["configured"] == "docker"
    assert json.loads(done.stderr)["error"]["fix"]
