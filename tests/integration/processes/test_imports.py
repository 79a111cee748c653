"""What an import may not drag in: it decides how fast a process starts, and what a package stands on."""

from __future__ import annotations

import subprocess
import sys

import pytest


def loaded(code: str) -> set[str]:
    """Return the top-level modules that running some code in a fresh interpreter loads."""
    code = f"import sys; before = set(sys.modules)\n{code}\nprint(*set(sys.modules) - before)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return {name.partition(".")[0] for name in done.stdout.split()}


@pytest.mark.parametrize("process", ["coo", "engineer", "qa", "budget", "approval", "sandbox", "clock"])
def test_an_actor_starts_without_pydantic_or_a_cli_framework(process: str) -> None:
    code = (
        "import actors.process.main, actors.process.wiring as wiring\n"
        "from actors.table import TABLE\n"
        f"for mailbox in TABLE.mailboxes_of({process!r}):\n"
        "    if mailbox.is_role:\n"
        "        wiring.role(mailbox.name)\n"
        "import actors.performers.model.performer, actors.performers.programs, actors.performers.clock"
    )
    assert loaded(code).isdisjoint({"pydantic", "typer", "docker", "yaml"})


@pytest.mark.parametrize(
    ("module", "never"),
    [
        ("config.parts", {"pydantic", "yaml", "typer"}),
        ("actors.process.logs", {"pydantic", "typer", "nats"}),
        ("actors.cast", {"pydantic", "typer", "docker", "yaml", "nats", "aiohttp"}),
    ],
)
def test_importing_a_module_does_not_load(module: str, never: set[str]) -> None:
    assert loaded(f"import {module}").isdisjoint(never)


def test_the_prompts_need_nothing_but_the_standard_library() -> None:
    assert loaded("import prompts.manager") - sys.stdlib_module_names == {"prompts"}
