"""`coo`: the CEO's desk. Commands live in modules of their own and import what they need when they run."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Coroutine, Iterable
from pathlib import Path
from typing import Annotated, Any, Optional, TypeVar

import typer

from actors.desk.errors import DeskError, Exit
from actors.terminal import READER_LEFT, open_terminal

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
_secrets: set[str] = set()

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


def log_to_stderr(secrets: Iterable[str] = ()) -> None:
    """Keep what is logged off stdout, where the data is, and secrets out of it; COO_DEBUG=1 shows all.

    May be called again with what became known since; what the environment holds is known from the start.
    """
    from actors import log
    from actors.scrub import secrets_in

    _secrets.update(secrets, secrets_in(os.environ))
    level = "debug" if os.environ.get("COO_DEBUG") else "warning"
    log.configure("desk", file=None, console=True, level=level, secrets=_secrets)


def main() -> None:
    """Run the command line; every error is one line on stderr with the next step, and an exit code."""
    from actors import kernel

    kernel.stop_dumps()  # it holds passwords, and other processes of this user may be taken
    open_terminal()
    code = _code_of(app)
    if code == Exit.DONE and (why := getattr(sys.stdout, "lost", "")):
        code = int(Exit.UNWRITTEN)
        if why != READER_LEFT:  # whoever left knows it
            what = f"Not all of the output is there: {why}."
            _tell(DeskError(Exit.UNWRITTEN, what, "The command itself has done its work."))
    sys.exit(code)


def _code_of(command: Callable[[], object]) -> int:
    from actors.desk import commands

    commands.register(app)
    try:
        command()
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(Exit.BUG if end.code else Exit.DONE)
    except DeskError as error:
        _tell(error)
        return int(error.code)
    except KeyboardInterrupt:
        return int(Exit.DETACHED)
    except Exception as error:
        if os.environ.get("COO_DEBUG"):
            raise
        what = f"This is a bug in coo: {type(error).__name__}: {error}"
        _tell(DeskError(Exit.BUG, what, "COO_DEBUG=1 shows where."))
        return int(Exit.BUG)
    return int(Exit.DONE)


def _tell(error: DeskError) -> None:
    from actors.scrub import Scrubber

    what, fix = map(Scrubber(()).text, (error.what, error.fix))  # an address may carry a password
    if "--json" in sys.argv:
        told = {"error": {"exit": int(error.code), "message": what, "fix": fix}}
        print(json.dumps(told), file=sys.stderr)
        return
    print(f"coo: {what}", file=sys.stderr)
    if fix:
        print(f"     {fix}", file=sys.stderr)


if __name__ == "__main__":
    main()
