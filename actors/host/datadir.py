"""The folder in which one company lives on one machine.

<path>/coo.json          the schema and the newest nats-server it was used with (`stamp`)
<path>/lock              held by `coo up` for as long as it runs; says who holds it
<path>/nats/             JetStream's file store: the log, and with it everything the company knows
<path>/logs/             one file an actor
<path>/run/              0700: what belongs to the running company
    credentials.json     0600: one password a principal, made once and kept
    run.json             0600: where the running company is found
    <actor>.strikes      0600: which mail has killed its processes
    nats.env             0600: the same for the `nats` command, with the password of who may look

The lock and run.json name the folder that they were written in: in a copy of it they count for nothing.
"""

from __future__ import annotations

import os
import secrets
import string
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from actors.host.alive import process_start
from actors.host.datalock import (
    LOCK_VARIABLE,
    DataDirError,
    Holder,
    Locked,
    Unusable,
    holder_in,
    is_here,
    moved_from,
    place_of,
    short,
    sign,
    taken,
)

__all__ = [
    "LOCK_VARIABLE",
    "DataDir",
    "DataDirError",
    "Holder",
    "Locked",
    "Run",
    "Unusable",
    "default_path",
    "short",
]

# nats-server parses the value of a variable like a value of its configuration: digits alone become a
# number, `12K` a size, `true` a boolean, `$2a$…` a bcrypt hash, `-` is refused. A letter first, then letters
# and digits, at this length, is always the string it looks like (seen with 2.15.1).
_PASSWORD_FIRST = string.ascii_letters
_PASSWORD_REST = string.ascii_letters + string.digits
_PASSWORD_LENGTH = 43  # 255 bits


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """A running company, this process's by default: what `coo up` tells the machine's other commands."""

    url: str
    server_pid: int | None = None
    server_version: str | None = None
    actors: dict[str, int] = {}  # name → pid
    config: str | None = None  # the configuration file it was started with, if not the user's own
    pid: int = msgspec.field(default_factory=os.getpid)
    process_start: str | None = msgspec.field(default_factory=lambda: process_start(os.getpid()))
    since: datetime = msgspec.field(default_factory=lambda: datetime.now(UTC))


class _Placed(msgspec.Struct, frozen=True, kw_only=True):
    """The folder that a file was written in."""

    place: str = ""


class DataDir:
    """The paths of one company, and the only code that writes its lock, credentials and run file."""

    def __init__(self, path: Path | None = None) -> None:
        self._held = ""
        self.path = (path or default_path(os.environ)).expanduser().absolute()
        self.nats = self.path / "nats"
        self.run = self.path / "run"
        self.logs = self.path / "logs"

    def log(self, actor: str) -> Path:
        """Return the path of an actor's log file."""
        return self.logs / f"{actor}.jsonl"

    def strikes(self, actor: str) -> Path:
        """Return the path of the file with what kills an actor's processes."""
        return self.run / f"{actor}.strikes"

    def create(self) -> None:
        """Make the folders that are missing and close them to other users; what exists is kept.

        Raises:
            Unusable: a folder cannot be made or written.
        """
        with self._named_errors():
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            for folder in (self.nats, self.run, self.logs):
                folder.mkdir(mode=0o700, exist_ok=True)
            self.run.chmod(0o700)
            for folder in (self.path, self.nats, self.run, self.logs):
                with tempfile.TemporaryFile(dir=folder):
                    pass

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the data directory: created if missing, and free again when this process ends in whatever way.

        A lock that was handed to this process (`reserved`) is taken over. Leaving removes `run.json`, so that
        nobody looks for a company that was stopped.

        Raises:
            Locked: another process, or another lock in this one, holds it.
            Unusable: it cannot be made or written.
        """
        self.create()
        with taken(self.path) as fd:
            found = self.holder()
            if found is None or found.pid != os.getpid():  # who handed it over has signed for this process
                sign(fd, self.path, os.getpid())
            self._held = place_of(self.path)
            try:
                yield
            finally:
                for name in () if self.replaced() else ("run.json", "nats.env"):
                    with suppress(OSError):
                        (self.run / name).unlink()
                self._held = ""
                with suppress(OSError):  # `holder` does not try the lock: that would be in a starter's way
                    os.ftruncate(fd, 0)

    @contextmanager
    def reserved(self) -> Iterator[int]:
        """Hold the data directory for a process that is yet to be started, which is handed this descriptor.

        Give it LOCK_VARIABLE with the number, and `sign` for it. It keeps the lock beyond this block.

        Raises:
            Locked, Unusable: as `lock`.
        """
        self.create()
        with taken(self.path) as fd:
            yield fd

    def sign(self, fd: int, pid: int) -> None:
        """Write into the lock file which process holds it.

        Raises:
            Unusable: it cannot be written.
        """
        sign(fd, self.path, pid)

    def replaced(self) -> str:
        """Return what is wrong when the folder that is held no longer stands at its path, "" if it does."""
        return moved_from(self._held, self.path)

    def credentials(self, principals: Iterable[str]) -> dict[str, str]:
        """Return one password for each principal, made on first use and the same ever after.

        A password begins with a letter and has only letters and digits. Principals that are stored and
        not asked for stay stored. Call it while holding the lock.

        Raises:
            Unusable: the file cannot be read or written.
        """
        stored = self.stored_credentials()
        wanted = list(principals)
        missing = [principal for principal in wanted if principal not in stored]
        if missing:
            stored |= {principal: _password() for principal in missing}
            self._write("credentials.json", msgspec.json.encode(stored))
        return {principal: stored[principal] for principal in wanted}

    def stored_credentials(self) -> dict[str, str]:
        """Return the passwords that exist, by principal, and make none."""
        content = self._read("credentials.json")
        if content is None:
            return {}
        try:
            return msgspec.json.decode(content, type=dict[str, str])
        except msgspec.DecodeError as error:
            raise Unusable(self.run / "credentials.json", f"not the JSON that coo wrote: {error}") from error

    def write_run(self, run: Run) -> None:
        """Say where the running company is found; a reader sees the old file or this one, never a part.

        Raises:
            Unusable: the file cannot be written.
        """
        with self._named_errors():
            written = msgspec.to_builtins(run) | {"place": place_of(self.path)}
        self._write("run.json", msgspec.json.encode(written))

    def write_login(self, url: str, user: str, secret: str) -> None:
        """Write a file that a shell reads so that the `nats` command finds this company, and may look.

        Raises:
            Unusable: the file cannot be written.
        """
        text = f"export NATS_URL={url}\nexport NATS_USER={user}\nexport NATS_PASSWORD={secret}\n"
        self._write("nats.env", text.encode())

    def read_run(self) -> Run | None:
        """Return the running company, None when there is none: no file, or one of a dead process or a copy.

        Raises:
            Unusable: the file cannot be read, or is not one that coo wrote.
        """
        content = self._read("run.json")
        if content is None:
            return None
        try:
            run = msgspec.json.decode(content, type=Run)
            place = msgspec.json.decode(content, type=_Placed).place
        except msgspec.DecodeError as error:
            raise Unusable(self.run / "run.json", f"not the JSON that coo wrote: {error}") from error
        start = process_start(run.pid)
        lives = start is not None and start == run.process_start
        return run if lives and is_here(place, self.path) else None

    def holder(self) -> Holder | None:
        """Return who holds the lock now: a process that lives, and no other that got its pid meanwhile."""
        with self._named_errors(), suppress(FileNotFoundError):
            return holder_in((self.path / "lock").read_bytes(), self.path)
        return None

    def _read(self, name: str) -> bytes | None:
        with self._named_errors():
            try:
                return (self.run / name).read_bytes()
            except FileNotFoundError:
                return None

    def _write(self, name: str, content: bytes) -> None:
        if moved := self.replaced():
            raise Unusable(self.path, moved)
        with self._named_errors():
            self.run.mkdir(mode=0o700, parents=True, exist_ok=True)
            fd, temporary = tempfile.mkstemp(prefix=f".{name}.", dir=self.run)  # mkstemp makes it 0600
            try:
                with os.fdopen(fd, "wb") as file:
                    file.write(content)
                    file.flush()
                    os.fsync(file.fileno())
                os.replace(temporary, self.run / name)
            except BaseException:
                with suppress(FileNotFoundError):
                    os.unlink(temporary)
                raise

    @contextmanager
    def _named_errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise Unusable(self.path, error.strerror or str(error)) from error


def default_path(environ: Mapping[str, str]) -> Path:
    """Return `$COO_DATA_DIR`, else `coo/default` under the XDG data home, a relative one ignored."""
    if chosen := environ.get("COO_DATA_DIR"):
        return Path(chosen)
    home = Path(environ.get("XDG_DATA_HOME", ""))
    if not home.is_absolute():
        try:
            home = Path("~/.local/share").expanduser()
        except RuntimeError as error:  # no HOME, and a user without an entry in passwd
            raise DataDirError(
                "This user has no home folder", "Name a data directory: --data-dir PATH, or COO_DATA_DIR"
            ) from error
    return home / "coo" / "default"


def _password() -> str:
    rest = (secrets.choice(_PASSWORD_REST) for _ in range(_PASSWORD_LENGTH - 1))
    return secrets.choice(_PASSWORD_FIRST) + "".join(rest)
