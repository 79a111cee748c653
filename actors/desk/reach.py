"""Reaching the company's log from a command: quiet on stdout, and plain about what is missing."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from actors.desk.connection import connected
from actors.desk.errors import DeskError, Exit
from bus.errors import NotSetUp, WrongCredentials

if TYPE_CHECKING:
    from bus.jetstream import JetStreamCarrier


@asynccontextmanager
async def reached(
    data_dir: Path | None, server: str | None, principal: str = "ceo"
) -> AsyncIterator[JetStreamCarrier]:
    """Connect as a principal for the length of a command.

    Raises:
        DeskError: no server, wrong credentials, missing rights, or a server without the company's streams.
    """
    _log_to_stderr()
    try:
        async with connected(data_dir, server, principal) as carrier:
            yield carrier
    except NotSetUp as error:
        what = f"The server has no company set up: {error}."
        raise DeskError(
            Exit.UNREACHABLE, what, "Make its streams: coo setup. Or run it all: coo up."
        ) from error
    except WrongCredentials as error:
        raise DeskError(Exit.UNREACHABLE, f"{error}.", "They were changed meanwhile: try again.") from error


def _log_to_stderr() -> None:
    """Keep what the bus logs off stdout, where the data is; COO_DEBUG=1 shows all of it."""
    import structlog

    level = logging.DEBUG if os.environ.get("COO_DEBUG") else logging.WARNING
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
