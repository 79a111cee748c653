"""Logging of one process: JSON lines in its own file, and lines a person can read on a terminal.

Our own lines and those of libraries go through one chain, in which the scrubber is last: after exceptions
have become text, and before anything is written. Event names are constant, `noun.past_participle`; values are
keys.
"""

import contextlib
import json
import logging
import os
import stat
import sys
from collections.abc import Iterable, MutableMapping
from pathlib import Path
from typing import Any, TextIO, cast

from actors.plain import harmless
from actors.scrub import Scrubber, secrets_in
from bus.structured import structlog

EventDict = structlog.typing.EventDict
Processor = structlog.typing.Processor
WrappedLogger = structlog.typing.WrappedLogger

_NOTES: tuple[Processor, ...] = (
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
)
"""What is noted about every line, ours or a library's."""


def configure(actor: str, *, file: Path | None, console: bool, level: str, secrets: Iterable[str]) -> None:
    """Send all logging of this process to `file`, to stderr if `console`, or nowhere; a second call replaces.

    The file is appended to, line by line, and only its owner may read it. stderr gets readable lines if it is
    a terminal and JSON if it is not.

    Raises:
        OSError: the file cannot be opened.
        ValueError: `level` is not a level.
    """
    root = logging.getLogger()
    root.setLevel(level.upper())
    handlers: list[logging.Handler] = []
    scrubber = Scrubber(secrets)
    if file is not None:
        handlers.append(_Handler(_opened(file), _formatter(actor, scrubber, _json_line), owned=True))
    if console:
        render = _console_line() if sys.stderr.isatty() else _json_line
        handlers.append(_Handler(sys.stderr, _formatter(actor, scrubber, render), owned=False))
    for old in [h for h in root.handlers if isinstance(h, _Handler)]:
        root.removeHandler(old)
        old.close()
    for handler in handlers:
        root.addHandler(handler)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *_NOTES,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )


class _Handler(logging.StreamHandler[TextIO]):
    """Writes lines to one stream, and closes it if it opened it."""

    def __init__(self, stream: TextIO, formatter: logging.Formatter, *, owned: bool) -> None:
        super().__init__(stream)
        self.setFormatter(formatter)
        self._owned = owned

    def close(self) -> None:
        super().close()
        if self._owned:
            with contextlib.suppress(OSError):  # a full disk: each line it cost was reported when it was lost
                self.stream.close()

    def handleError(self, record: logging.LogRecord) -> None:
        # The standard library would print the line's arguments, unscrubbed.
        error = sys.exc_info()[0]
        name = error.__name__ if error is not None else "unknown"
        with contextlib.suppress(OSError):  # stderr may be on the same full disk
            sys.stderr.write(f"a log line of {record.name} was lost: {name}\n")


def _opened(file: Path) -> TextIO:
    file.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    if stat.S_ISREG(os.fstat(descriptor).st_mode):  # a device is the machine's
        os.fchmod(descriptor, 0o600)  # the file may be there already, with another mode
    return open(descriptor, "a", buffering=1, encoding="utf-8")


def _formatter(actor: str, scrubber: Scrubber, render: Processor) -> logging.Formatter:
    def name_actor(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
        event["actor"] = actor
        return event

    def scrub(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
        return cast("MutableMapping[str, Any]", scrubber.value(dict(event)))

    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=_NOTES,
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            name_actor,
            structlog.processors.StackInfoRenderer(),
            structlog.processors.format_exc_info,
            scrub,
            render,
        ],
    )


def _json_line(logger: WrappedLogger, method: str, event: EventDict) -> str:
    # ASCII, so that no character inside a value can be taken for the end of a line.
    return json.dumps(event)


def _console_line() -> Processor:
    renderer = structlog.dev.ConsoleRenderer(
        colors=False,  # a terminal obeys nothing in a log line, whoever wrote it
        exception_formatter=structlog.dev.plain_traceback,
    )

    def render(logger: WrappedLogger, method: str, event: EventDict) -> str:
        return harmless(str(renderer(logger, method, event)))

    return render


_known: set[str] = set()


def to_stderr(secrets: Iterable[str] = ()) -> None:
    """Log a command: off stdout, where the data is, and without secrets; COO_DEBUG=1 shows all.

    May be called again with what became known since; what the environment holds is known from the start.
    """
    _known.update(secrets, secrets_in(os.environ))
    level = "debug" if os.environ.get("COO_DEBUG") else "warning"
    configure("desk", file=None, console=True, level=level, secrets=_known)
