"""`coo logs`: what the actors wrote, merged by time."""

from __future__ import annotations

import heapq
import json
import re
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, Optional

import typer

from actors.cast import table
from actors.cli.options import DataDirOption, JsonOption
from actors.cli.screen import out, out_json
from actors.errors import Kind, UserError
from actors.host.datadir import DataDir
from actors.terminal import unread

SERVER = "nats-server"
LEVELS = ("debug", "info", "warning", "error", "critical")
Level = Literal["debug", "info", "warning", "error", "critical"]

_POLL_S = 0.1
_KNOWN_KEYS = {"timestamp", "level", "event", "actor", "logger", "exception"}
_SERVER_LINE = re.compile(r"\[\d+\] (\S+ \S+) \[(\w{3})\] (.*)")
_SERVER_LEVELS = {"TRC": "debug", "DBG": "debug", "INF": "info", "WRN": "warning", "ERR": "error"}
_STYLES = {"debug": "dim", "info": "", "warning": "yellow", "error": "red", "critical": "bold red"}


class Line(NamedTuple):
    """One line of a log, with what it is sorted by first."""

    time: str
    level: str
    actor: str
    fields: dict[str, Any]


def logs(
    actor: Annotated[
        Optional[str],
        typer.Argument(help="One actor, or nats-server. Default: every actor."),
    ] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with what is written later.")] = False,
    level: Annotated[Level, typer.Option("--level", help="Least severe line that is printed.")] = "debug",
    mission: Annotated[
        Optional[str],
        typer.Option("--mission", help="Only lines about this mission; a prefix is enough."),
    ] = None,
    data_dir: DataDirOption = None,
    as_json: JsonOption = False,
) -> None:
    """Print what the actors wrote, merged by time; with --json as JSON lines."""
    book = Logbook(DataDir(data_dir), actor)
    if not any(book.folder.glob("*.jsonl")) and not follow:
        where = f"There are no logs in {book.folder}."
        raise UserError(Kind.NOT_FOUND, where, "Start the company: coo up. Or point to one: --data-dir PATH.")
    show = _printer(as_json)
    least = LEVELS.index(level)
    for line in book.lines(follow=follow):
        severe = LEVELS.index(line.level) if line.level in LEVELS else len(LEVELS)
        about = str(line.fields.get("mission", ""))
        if severe >= least and (mission is None or about.startswith(mission)):
            show(line)


@dataclass
class _Tail:
    """How far one file has been read. `begun` is a line that has no end yet."""

    path: Path
    position: int = 0
    begun: bytes = b""
    time: str = ""

    @property
    def actor(self) -> str:
        return self.path.stem

    def read(self) -> Iterator[Line]:
        """Yield the lines that are whole by now and were not read before."""
        try:
            with self.path.open("rb") as file:
                if file.seek(0, 2) < self.position:  # it was emptied or replaced
                    self.position, self.begun = 0, b""
                file.seek(self.position)
                for raw in file:
                    self.position += len(raw)
                    self.begun += raw
                    if raw.endswith(b"\n"):
                        text, self.begun = self.begun.decode(errors="replace").rstrip("\r\n"), b""
                        yield self._line(text)
        except FileNotFoundError:
            return

    def _line(self, text: str) -> Line:
        try:
            fields = json.loads(text)
        except ValueError:
            fields = None
        if not isinstance(fields, dict):
            fields = self._foreign(text)
        # A line without a time, such as one of a traceback, belongs to the line before it.
        self.time = str(fields.get("timestamp") or self.time)
        actor = str(fields.get("actor") or self.actor)
        return Line(self.time, str(fields.get("level", "info")), actor, fields)

    def _foreign(self, text: str) -> dict[str, Any]:
        """Return the fields of a line that is no JSON: the server's, or what a process said as it died."""
        if self.actor != SERVER:
            return {"level": "error", "actor": self.actor, "event": text}
        if said := _SERVER_LINE.match(text):
            clock, word, message = said.groups()
            utc = datetime.strptime(clock, "%Y/%m/%d %H:%M:%S.%f").replace(tzinfo=UTC)
            stamp = f"{utc:%Y-%m-%dT%H:%M:%S.%f}Z"
            level = _SERVER_LEVELS.get(word, "critical")
            return {"timestamp": stamp, "level": level, "actor": SERVER, "event": message}
        return {"level": "info", "actor": SERVER, "event": text}


@dataclass
class Logbook:
    """The logs of one company, or of one of its actors; also those that appear later."""

    data_dir: DataDir
    actor: str | None
    _tails: dict[Path, _Tail] = field(default_factory=dict)

    def __post_init__(self) -> None:
        written = {path.stem for path in self.folder.glob("*.jsonl")}
        known = [*table().processes, *sorted(written - set(table().processes)), SERVER]
        if self.actor is not None and self.actor not in known:
            there = f"There are {', '.join(known)}."
            raise UserError(Kind.NOT_FOUND, f"No actor is called {self.actor}.", there)

    @property
    def folder(self) -> Path:
        return self.data_dir.logs

    def files(self) -> list[Path]:
        """Return the files that exist now: one a process, so `engineer` has those of `engineer-2` too."""
        if self.actor == SERVER:
            return list(self.folder.glob(f"{SERVER}.log"))
        found = sorted(self.folder.glob("*.jsonl"))
        return [path for path in found if self.actor is None or self._is_of(path.stem, self.actor)]

    def lines(self, *, follow: bool) -> Iterator[Line]:
        """Yield lines in the order of their time; when following, in that order among what is new."""
        while True:
            for path in self.files():
                self._tails.setdefault(path, _Tail(path))
            yield from heapq.merge(*(tail.read() for tail in self._tails.values()), key=_by_time)
            if not follow or unread():
                return
            time.sleep(_POLL_S)

    @staticmethod
    def _is_of(name: str, actor: str) -> bool:
        return name == actor or (name.startswith(f"{actor}-") and name[len(actor) + 1 :].isdigit())


def _by_time(line: Line) -> str:
    return line.time


def _printer(as_json: bool) -> Callable[[Line], None]:
    if as_json:
        return lambda line: out_json(line.fields)
    return lambda line: out("\n".join(_readable(line)), _STYLES.get(line.level, ""))


def _readable(line: Line) -> Iterable[str]:
    """Write a line for a person: time of day, actor, level if it matters, event, values."""
    clock = line.time[11:23] or "-" * 12
    level = "" if line.level in ("info", "debug") else f"{line.level}: "
    rest = [f"{name}={_value(value)}" for name, value in line.fields.items() if name not in _KNOWN_KEYS]
    event = str(line.fields.get("event", ""))
    yield _one_line("  ".join(filter(None, [clock, f"{line.actor:<11}", level + event, " ".join(rest)])))
    for below in str(line.fields.get("exception") or "").splitlines():
        yield f"{'':14}{below}"


def _value(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return json.dumps(text, ensure_ascii=False) if " " in text or not text else text


def _one_line(text: str) -> str:
    """Spell line breaks out, so that no value can pass for a line of another actor."""
    return text.replace("\n", "\\n")
