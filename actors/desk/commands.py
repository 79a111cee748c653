"""Every command of `coo`, by name. Each module registers its own."""

from __future__ import annotations

import typer

from actors.desk import (
    artifacts,
    audit,
    bury,
    chaos,
    company,
    dead,
    decisions,
    demo,
    logbook,
    missions,
    money,
    prices,
    settings,
    verify,
    workshop,
)


def register(app: typer.Typer) -> None:
    """Add every command to the command line."""
    modules = (
        demo,
        company,
        missions,
        artifacts,
        decisions,
        money,
        audit,
        prices,
        dead,
        bury,
        logbook,
        settings,
        workshop,
        chaos,
        verify,
    )
    for module in modules:
        module.register(app)
