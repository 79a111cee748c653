"""Every command of `coo`, by name. Each module registers its own."""

from __future__ import annotations

import typer

from actors.desk import artifacts, company, dead, decisions, demo, logbook, missions, settings, workshop


def register(app: typer.Typer) -> None:
    """Add every command to the command line."""
    for module in (demo, company, missions, artifacts, decisions, dead, logbook, settings, workshop):
        module.register(app)
