"""`coo config`: what is set, where it was set, and whether a file is right."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Optional

import typer

from actors.cli.exits import Exit
from actors.cli.options import JsonOption, group
from actors.desk.configuration import load_settings, refused

ConfigOption = Annotated[
    Optional[Path],
    typer.Option("--config", help="A configuration file instead of the user's own."),
]


def show(
    origin: Annotated[bool, typer.Option("--origin", help="Say where each value was set.")] = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Print every setting as it is in force."""
    from config.settings import ConfigError, origins  # takes long to import

    try:
        found = origins(config)
    except ConfigError as error:
        raise refused(error) from error
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
    """Print where the user's own file is looked for.

    It need not exist.
    """
    from config.settings import user_path  # takes long to import

    if as_json:
        print(json.dumps({"path": str(user_path()), "exists": user_path().exists()}))
    else:
        print(user_path())


def validate(
    file: Annotated[Optional[Path], typer.Argument(help="A file instead of what is in force.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Check a file, or all that is in force.

    A file is checked on top of the packaged defaults. Exit code 2 if it is wrong.
    """
    from config.settings import ConfigError, load, user_path  # takes long to import
    from config.settings import validate as problems_of  # takes long to import

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
        raise refused(ConfigError(problems))
    missing = file is None and not user_path().exists()
    print(f"{checked}: {'not there; the defaults are right' if missing else 'right'}")


def _text(value: object) -> str:
    """Write a value as YAML would read it back."""
    return json.dumps(value, default=str) if isinstance(value, str | list | tuple | None) else str(value)


GROUP = group()
GROUP.command("show")(show)
GROUP.command("path")(path)
GROUP.command("validate")(validate)
