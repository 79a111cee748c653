"""`coo config`: what is set, where it was set, and whether a file is right."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from actors.desk.errors import DeskError, Exit
from actors.desk.main import JsonOption

if TYPE_CHECKING:
    from config.settings import Settings

ConfigOption = Annotated[
    Optional[Path],  # noqa: UP045 - typer reads annotations at run time
    typer.Option("--config", help="A configuration file instead of the user's own."),
]


def load_settings(path: Path | None = None) -> Settings:
    """Return the settings; `path` replaces the user's own file.

    Raises:
        DeskError: with every problem, each naming its key and its place.
    """
    from config.settings import ConfigError, load

    try:
        return load(path)
    except ConfigError as error:
        raise _refused(error) from error


def register(app: typer.Typer) -> None:
    """Add `coo config`."""
    group = typer.Typer(no_args_is_help=True)
    group.command("show")(show)
    group.command("path")(path)
    group.command("validate")(validate)
    app.add_typer(group, name="config", help="What is set, and where.")


def show(
    origin: Annotated[bool, typer.Option("--origin", help="Say where each value was set.")] = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Print every setting as it is in force."""
    from config.settings import ConfigError, origins

    try:
        found = origins(config)
    except ConfigError as error:
        raise _refused(error) from error
    if as_json and origin:
        told = [{"key": o.key, "value": o.value, "origin": str(o.place or "")} for o in found]
        print(json.dumps(told, indent=2, default=str))
    elif as_json:
        print(json.dumps(load_settings(config).model_dump(mode="json"), indent=2))
    else:
        lines = [(f"{o.key}: {_text(o.value)}", str(o.place or "")) for o in found]
        width = min(60, max(len(line) for line, _ in lines))
        for line, place in lines:
            print(f"{line:<{width}}  # {place}" if origin else line)


def path(as_json: JsonOption = False) -> None:
    """Print where the user's own file is looked for; it need not exist."""
    from config.settings import user_path

    if as_json:
        print(json.dumps({"path": str(user_path()), "exists": user_path().exists()}))
    else:
        print(user_path())


def validate(
    file: Annotated[Optional[Path], typer.Argument(help="A file instead of what is in force.")] = None,  # noqa: UP045
    as_json: JsonOption = False,
) -> None:
    """Check a file on top of the packaged defaults, or all that is in force; exit code 2 if it is wrong."""
    from config.settings import ConfigError, load, user_path
    from config.settings import validate as problems_of

    try:
        problems = problems_of(file) if file else []
        if file is None:
            load()
    except ConfigError as error:
        problems = list(error.problems)
    checked = str(file or user_path())
    if as_json:
        told = [{"place": str(problem.place), "message": problem.message} for problem in problems]
        print(json.dumps({"file": checked, "valid": not problems, "problems": told}, indent=2))
        raise typer.Exit(int(Exit.USAGE if problems else Exit.DONE))
    if problems:
        raise _refused(ConfigError(problems))
    missing = file is None and not user_path().exists()
    print(f"{checked}: {'not there; the defaults are right' if missing else 'right'}")


def _refused(error: Exception) -> DeskError:
    fix = "Correct it there. coo config show --origin prints every setting and where it stands."
    return DeskError(Exit.USAGE, str(error), fix)


def _text(value: object) -> str:
    """Write a value as YAML would read it back."""
    return json.dumps(value, default=str) if isinstance(value, str | list | tuple | None) else str(value)
