"""`coo`: the CEO's desk. Every command is a module of its own, loaded when it is called."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from actors.cli.commands import COMMANDS, Loaded
from actors.cli.exits import Exit, exit_code
from actors.errors import Kind, UserError
from actors.terminal import READER_LEFT, open_terminal


class _Root(TyperGroup):
    """`coo`: its commands are loaded when they are called; for the list of them the table is enough."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.commands = Loaded()

    def list_commands(self, ctx: Any) -> list[str]:
        return list(self.commands)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(command.name, command.help) for command in COMMANDS])


app = typer.Typer(
    name="coo",
    cls=_Root,
    no_args_is_help=True,
    rich_markup_mode=None,  # help in plain text: rich takes longer to import than everything else
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback(invoke_without_command=True)
def coo(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version of every part.", is_eager=True)
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="With --version: as JSON.")] = False,
) -> None:
    """Give a mission and a budget to a company of agents, and see what becomes of both."""
    from actors.process import kernel  # no list of commands needs it

    kernel.stop_dumps()  # a command holds passwords, and other processes of this user may be taken
    if version:
        from actors.cli.version import show

        show(as_json=as_json)
        raise typer.Exit


def main() -> None:
    """Run the command line; every error is one line on stderr with the next step, and an exit code."""
    open_terminal()
    code = _code_of(typer.main.get_command(app))
    if code == Exit.DONE and (why := getattr(sys.stdout, "lost", "")):
        code = int(Exit.UNWRITTEN)
        if why != READER_LEFT:  # whoever left knows it
            what = f"Not all of the output is there: {why}."
            _tell(UserError(Kind.UNWRITTEN, what, "The command itself has done its work."))
    sys.exit(code)


def _code_of(command: Callable[[], object]) -> int:
    try:
        command()
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(Exit.BUG if end.code else Exit.DONE)
    except UserError as error:
        _tell(error)
        return int(exit_code(error.kind))
    except KeyboardInterrupt:
        return int(Exit.DETACHED)
    except Exception as error:
        if os.environ.get("COO_DEBUG"):
            raise
        what = f"This is a bug in coo: {type(error).__name__}: {error}"
        _tell(UserError(Kind.BUG, what, "COO_DEBUG=1 shows where."))
        return int(Exit.BUG)
    return int(Exit.DONE)


def _tell(error: UserError) -> None:
    import json  # neither is needed unless something went wrong

    from actors.scrub import Scrubber

    what, fix = map(Scrubber(()).text, (error.what, error.fix))  # an address may carry a password
    if "--json" in sys.argv:
        told = {"error": {"exit": int(exit_code(error.kind)), "message": what, "fix": fix}}
        print(json.dumps(told), file=sys.stderr)
        return
    print(f"coo: {what}", file=sys.stderr)
    if fix:
        print(f"     {fix}", file=sys.stderr)


if __name__ == "__main__":
    main()
