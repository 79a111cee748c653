"""Every command of `coo`, found by looking, with arguments by which it can be typed on a server of a test.

A command that is new fails the tests that use this until it has a line here: nothing is left out by accident.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator, Sequence
from typing import Any

import typer

from actors.cli.app import app
from actors.cli.exits import Exit

COO = [sys.executable, "-c", "from actors.cli.app import main; main()"]

DOCUMENTED = {int(code) for code in Exit} - {int(Exit.BUG)} | {70}


def documented(argv: Sequence[str]) -> set[int]:
    """Return the exit codes that a command may end with; 1 is a bug, or what an audit found."""
    return DOCUMENTED | ({int(Exit.BUG)} if list(argv[:1]) == ["audit"] else set())


"""What a command may end with; 70 is of `coo sandbox run` alone."""

READS: dict[str, list[tuple[str, ...]]] = {
    "follow": [("{mission}", "--timeout", "3s")],
    "ls": [()],
    "show": [("{mission}",)],
    "exam": [("{mission}",), ("{mission}", "--on", "{folder}")],
    "audit": [()],
    "prices": [()],
    "bury": [("{seq}",)],
    "logs": [(), ("nats-server",), ("qa", "--level", "warning")],
    "verify": [("{mission}",)],
    "artifacts ls": [("{mission}",)],
    "artifacts get": [("{mission}", "--out", "{folder}")],
    "budget": [()],
    "budget ledger": [(), ("--csv",), ("{mission}",)],
    "dlq ls": [()],
    "dlq show": [("{dead}",), ("{dead}", "--raw")],
    "config show": [(), ("--origin",), ("--config", "{config}")],
    "config path": [()],
    "config validate": [(), ("{config}",)],
    "setup": [("--check",), ("--print-conf",)],
}
"""What shows something and changes nothing. `{…}` is filled in by the test."""

WRITES: dict[str, list[tuple[str, ...]]] = {
    "mission": [("Say hello", "--budget", "1"), ("-",), ("@/nonexistent",)],
    "approve": [("{mission}",)],
    "reject": [("{mission}", "--reason", "no")],
    "pause": [("{mission}",)],
    "resume": [("{mission}",)],
    "cancel": [("{mission}",)],
    "budget set": [("--daily", "5")],
    "budget raise": [("{mission}", "1")],
    "dlq replay": [("{dead}",), ("--reason", "raised", "--dry-run")],
    "demo": [("--nats-server", "/nonexistent")],
    "up": [("--port", "99999"), ("--server", "nats://127.0.0.1:1")],
    "down": [()],
    "chaos": [("--runs", "1")],
    "sandbox build": [("--with", "not a package")],
    "sandbox doctor": [()],
    "sandbox run": [("--backend", "bubblewrap", "--", "echo", "größer — ✔")],
}
"""What has an effect, or takes long; typed so that it soon ends."""


def every_command() -> dict[str, Any]:
    """Return every command by its words, as the command line has them."""
    root: Any = typer.main.get_command(app)
    return dict(leaf for name, each in root.commands.items() for leaf in _leaves(each, (name,)))


def _leaves(command: Any, path: tuple[str, ...]) -> Iterator[tuple[str, Any]]:
    below = getattr(command, "commands", {})
    if not below or getattr(command, "invoke_without_command", False):
        yield " ".join(path), command
    for name, each in below.items():
        yield from _leaves(each, (*path, name))


def has_json(command: Any) -> bool:
    """Say whether a command can be asked for JSON."""
    return any(parameter.name == "as_json" for parameter in command.params)


async def each(work: Any, cases: list[Any]) -> list[Any]:
    """Do work for each case, a few at once."""
    few = asyncio.Semaphore(3)

    async def one(case: Any) -> Any:
        async with few:
            return await asyncio.to_thread(work, case)

    return list(await asyncio.gather(*map(one, cases)))
