"""What commands have in common: the options that most of them take, groups of commands, and running."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from pathlib import Path
from typing import Annotated, Any, Optional, TypeVar

import typer

T = TypeVar("T")

DataDirOption = Annotated[
    Optional[Path],
    typer.Option("--data-dir", help="The company's data directory (COO_DATA_DIR).", envvar="COO_DATA_DIR"),
]
ServerOption = Annotated[
    Optional[str],
    typer.Option("--server", help="A NATS server to use (NATS_URL)."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON on stdout.")]


def group(*, no_args_is_help: bool = True) -> typer.Typer:
    """Return a group of commands with help in plain text: rich takes longer to import than all else."""
    return typer.Typer(no_args_is_help=no_args_is_help, add_completion=False, rich_markup_mode=None)


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run a command's work; Ctrl-C becomes exit code 130."""
    return asyncio.run(work)
