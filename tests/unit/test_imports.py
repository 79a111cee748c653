"""What an actor's import path may not drag in: it decides how fast a process starts."""

from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.parametrize("role", ["coo", "engineer", "qa", "budget", "approval", "sandbox", "clock"])
def test_an_actor_starts_without_pydantic_or_a_cli_framework(role: str) -> None:
    code = (
        "import sys, actors.process, actors.company as company\n"
        "from actors.table import TABLE\n"
        f"for mailbox in TABLE.mailboxes_of({role!r}):\n"
        "    if not mailbox.orders:\n"
        "        company.role(mailbox.name)\n"
        "import actors.performers.model, actors.performers.runner, actors.performers.clock\n"
        "print([name for name in ('pydantic', 'typer', 'docker', 'yaml') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
