"""Every command of `coo`: its name, where it is, and its line of help. A command is loaded when it is called.

To add one, write its function in a module of its own and a line here.
"""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from importlib import import_module
from typing import Any, NamedTuple

import typer


class Command(NamedTuple):
    """A command, or a group of them. `place` is `module:name` of its function or its group in this folder."""

    name: str
    place: str
    help: str

    def load(self) -> Any:
        """Import the command, and return it as typer runs it."""
        module, _, name = self.place.partition(":")
        found = getattr(import_module(f"actors.cli.{module}"), name)
        if isinstance(found, typer.Typer):
            loaded = typer.main.get_command(found)
        else:
            alone = typer.Typer(add_completion=False, rich_markup_mode=None)
            alone.command(self.name)(found)
            loaded = typer.main.get_command(alone)
        loaded.name, loaded.short_help = self.name, self.help
        return loaded


COMMANDS = (
    Command("demo", "demo:demo", "Run a scripted mission in a company of its own, free."),
    Command("up", "up:up", "Run the company: a NATS server and every actor."),
    Command("down", "up:down", "Stop the company that runs on the data directory."),
    Command("setup", "up:setup", "Make or update streams and consumers on a server."),
    Command("mission", "missions:mission", "Give the company a mission and a budget."),
    Command("follow", "missions:follow", "Show a mission from its beginning, then live."),
    Command("ls", "missions:ls", "List the missions, the latest first."),
    Command("show", "missions:show", "Show a mission's state, tasks, money and evidence."),
    Command("exam", "exam:exam", "Show what the work was examined by, or examine a folder."),
    Command("approve", "decide:approve", "Approve exactly what a mission asks for now."),
    Command("reject", "decide:reject", "Reject what a mission asks for."),
    Command("pause", "decide:pause", "Pause a mission: nothing new is started."),
    Command("resume", "decide:resume", "Let a paused mission go on where it was."),
    Command("cancel", "decide:cancel", "End a mission for good."),
    Command("audit", "audit:audit", "Prove every prefix of the ledger."),
    Command("prices", "prices:prices", "Print every price for a million tokens."),
    Command("bury", "bury:bury", "Skip a message for ever."),
    Command("logs", "logs:logs", "Print what the actors wrote, merged by time."),
    Command("chaos", "chaos:chaos", "Play missions in memory under faults and attacks."),
    Command("verify", "verify:verify", "Fold the log again and explain every letter."),
    Command("artifacts", "artifacts:GROUP", "See and get what was delivered."),
    Command("budget", "budget:GROUP", "See what was spent and held, set limits, raise caps."),
    Command("dlq", "dlq:GROUP", "See mail that failed, and send it again."),
    Command("config", "config:GROUP", "See what is set, and where."),
    Command("sandbox", "sandbox:GROUP", "Build, check and try what programs run in."),
)


class Loaded(MutableMapping[str, Any]):
    """Every command by its name, imported when it is looked at."""

    def __init__(self) -> None:
        self._known = {command.name: command for command in COMMANDS}
        self._loaded: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        if name not in self._loaded:
            self._loaded[name] = self._known[name].load()
        return self._loaded[name]

    def __setitem__(self, name: str, command: Any) -> None:
        self._loaded[name] = command

    def __delitem__(self, name: str) -> None:
        raise TypeError("a command is not taken away")

    def __iter__(self) -> Iterator[str]:
        return iter(self._known)

    def __len__(self) -> int:
        return len(self._known)

    def __contains__(self, name: object) -> bool:
        return name in self._known
