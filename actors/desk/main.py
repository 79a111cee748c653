"""`coo`: the CEO's desk. Commands live in modules of their own and import what they need when they run."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import Annotated, Any, Optional, TypeVar

import typer

from actors.desk.errors import DeskError, Exit

T = TypeVar("T")

app = typer.Typer(
    name="coo",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # help in plain text: rich takes longer to import than everything else
    context_settings={"help_option_names": ["-h", "--help"]},
)

DataDirOption = Annotated[
    Optional[Path],  # noqa: UP045 - typer reads annotations at run time
    typer.Option("--data-dir", help="The company's data directory (COO_DATA_DIR).", envvar="COO_DATA_DIR"),
]
ServerOption = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option("--server", help="A NATS server to use (NATS_URL)."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON on stdout.")]


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run a command's work; Ctrl-C becomes exit code 130."""
    import asyncio

    return asyncio.run(work)


@app.callback(invoke_without_command=True)
def coo(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version of every part.", is_eager=True)
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="With --version: as JSON.")] = False,
) -> None:
    """Give a mission and a budget to a company of agents, and see what becomes of both."""
    if version:
        from actors.desk.versions import show

        show(as_json=as_json)
        raise typer.Exit


def log_to_stderr() -> None:
    """Keep what the bus logs off stdout, where the data is."""
    from actors import log

    log.configure("desk", file=None, console=True, level="warning", secrets=())


def main() -> None:
    """Run the command line; every error is one line on stderr with the next step, and an exit code."""
    from actors import kernel
    from actors.desk import commands

    kernel.stop_dumps()  # it holds passwords, and other processes of this user may be taken
    commands.register(app)
    try:
        app(standalone_mode=True)
    except DeskError as error:
        _tell(error)
        sys.exit(int(error.code))
    except KeyboardInterrupt:
        sys.exit(int(Exit.DETACHED))
    except Exception as error:
        if os.environ.get("COO_DEBUG"):
            raise
        what = f"This is a bug in coo: {type(error).__name__}: {error}"
        _tell(DeskError(Exit.BUG, what, "COO_DEBUG=1 shows where."))
        sys.exit(int(Exit.BUG))


def _tell(error: DeskError) -> None:
    if "--json" in sys.argv:
        told = {"error": {"exit": int(error.code), "message": error.what, "fix": error.fix}}
        print(json.dumps(told), file=sys.stderr)
        return
    print(f"coo: {error.what}", file=sys.stderr)
    if error.fix:
        print(f"     {error.fix}", file=sys.stderr)


if __name__ == "__main__":
    main()
