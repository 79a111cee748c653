"""The settings of this terminal, with every problem in them named at once."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from actors.errors import Kind, UserError

if TYPE_CHECKING:
    from config.settings import Settings


def load_settings(path: Path | None = None) -> Settings:
    """Return the settings; `path` replaces the user's own file.

    Raises:
        UserError: with every problem, each naming its key and its place.
    """
    from config.settings import ConfigError, load  # takes long to import

    try:
        return load(path)
    except ConfigError as error:
        raise refused(error) from error


def refused(error: Exception) -> UserError:
    """Return what a person is told of wrong settings."""
    fix = "Correct it there. coo config show --origin prints every setting and where it stands."
    return UserError(Kind.USAGE, str(error), fix)
