"""Every command of `coo`, by name. Each module registers its own."""

from __future__ import annotations

import typer

from actors.desk import artifacts, chaos, company, dead, decisions, logbook, missions, settings, workshop


def register(app: typer.Typer) -> None:
    """Add every command to the command line."""
    for module in (company, missions, artifacts, decisions, dead, logbook, settings, workshop, chaos):
        module.register(app)
