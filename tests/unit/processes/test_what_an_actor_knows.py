"""The whole environment of one actor's process, and the configuration file its server runs with."""

from __future__ import annotations

import pytest

from actors.host.crew import environment, secrets
from actors.host.nats.binary import configuration_file
from actors.table import TABLE
from bus.server.authority import render
from config.settings import load

ENVIRON = {
    "PATH": "/bin",
    "HOME": "/home/me",
    "OPENROUTER_API_KEY": "sk-1",
    "DOCKER_HOST": "unix:///run/docker.sock",
    "COO_CEO_PASSWORD": "secret",
    "PYTHONPATH": "/somewhere",
}


@pytest.mark.parametrize(
    ("role", "env", "told"),
    [
        ("engineer", {}, {"OPENROUTER_API_KEY": "sk-1", "COO_ENGINEER_PASSWORD": "own"}),
        ("sandbox", {"DOCKER_HOST": "unix:///run/docker.sock"}, {"COO_SANDBOX_PASSWORD": "own"}),
        ("budget", {}, {"COO_BUDGET_PASSWORD": "own"}),
    ],
)
def test_an_actor_is_told_only_what_it_needs(role: str, env: dict[str, str], told: dict[str, str]) -> None:
    assert environment(role, ENVIRON) == {"PATH": "/bin", "HOME": "/home/me"} | env
    assert secrets(load(), role, "own", ENVIRON) == told


def test_the_configuration_file_is_the_one_made_from_the_kind_table() -> None:
    assert configuration_file().read_text() == render(TABLE)
