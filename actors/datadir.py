"""The folder in which one company lives on one machine.

<path>/coo.json          the schema and the newest nats-server it was used with (`stamp`)
<path>/lock              held by `coo up` for as long as it runs
<path>/nats/             JetStream's file store: the log, and with it everything the company knows
<path>/logs/             one file an actor
<path>/run/              0700: what belongs to the running company
    credentials.json     0600: one password a principal, made once and kept
    run.json             0600: where the running company is found
    <actor>.strikes      0600: which mail has killed its processes
    nats.env             0600: the same for the `nats` command, with the password of who may look
"""

from __future__ import annotations

import fcntl
import os
import secrets
import string
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from actors.alive import process_start

# nats-server parses the value of a variable like a value of its configuration: digits alone become a
# number, `12K` a size, `true` a boolean, `$2a$…` a bcrypt hash, `-` is refused. A letter first, then letters
# and digits, at this length, is always the string it looks like (seen with 2.15.1).
_PASSWORD_FIRST = string.ascii_letters
_PASSWORD_REST = string.ascii_letters + string.digits
_PASSWORD_LENGTH = 43  # 255 bits


class Holder(msgspec.Struct, frozen=True, kw_only=True):
    """The process that holds the lock, as it wrote itself into the lock file."""

    pid: int
    since: datetime
    process_start: str | None = None


class DataDirError(Exception):
    """The data directory cannot be used: `what` is wrong, and the `fix` a person can try."""

    def __init__(self, what: str, fix: str) -> None:
        self.what = what
        self.fix = fix
        super().__init__(f"{what}. {fix}")


class Locked(DataDirError):
    """Another `coo up` runs on this data directory; two servers on one store would corrupt the log."""

    def __init__(self, path: Path, holder: Holder | None) -> None:
        self.path = path
        self.pid = holder.pid if holder else None
        self.since = holder.since if holder else None
        by = f" (pid {holder.pid}, since {holder.since.astimezone():%H:%M})" if holder else ""
        super().__init__(
            f"{short(path)} is in use by coo up{by}",
            "Use it as it is, stop it with coo down, or start another with --data-dir",
        )


class Unusable(DataDirError):
    """The data directory cannot be made, read or written."""

    def __init__(self, path: Path, reason: str) -> None:
        self.path = path
        self.reason = reason
        super().__init__(
            f"Cannot use the data directory at {short(path)} ({reason})",
            "Make it readable and writable for this user, or choose another with --data-dir or COO_DATA_DIR",
        )


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


class DataDir:
    """The paths of one company, and the only code that writes its lock, credentials and run file."""

    def __init__(self, path: Path | None = None) -> None:
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

        Leaving removes `run.json`, so that nobody looks for a company that was stopped.

        Raises:
            Locked: another process, or another lock in this one, holds it.
            Unusable: it cannot be made or written.
        """
        self.create()
        with self._named_errors():
            fd = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            self._take(fd)
            try:
                yield
            finally:
                for name in ("run.json", "nats.env"):
                    with suppress(OSError):
                        (self.run / name).unlink()
                os.ftruncate(fd, 0)  # `holder` does not try the lock: that would be in a starter's way
        finally:
            os.close(fd)

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
        self._write("run.json", msgspec.json.encode(run))

    def write_login(self, url: str, user: str, secret: str) -> None:
        """Write a file that a shell reads so that the `nats` command finds this company, and may look.

        Raises:
            Unusable: the file cannot be written.
        """
        text = f"export NATS_URL={url}\nexport NATS_USER={user}\nexport NATS_PASSWORD={secret}\n"
        self._write("nats.env", text.encode())

    def read_run(self) -> Run | None:
        """Return the running company, None when there is none: no file, or one left by a dead process.

        Raises:
            Unusable: the file cannot be read, or is not one that coo wrote.
        """
        content = self._read("run.json")
        if content is None:
            return None
        try:
            run = msgspec.json.decode(content, type=Run)
        except msgspec.DecodeError as error:
            raise Unusable(self.run / "run.json", f"not the JSON that coo wrote: {error}") from error
        start = process_start(run.pid)
        return run if start and start == run.process_start else None

    def _take(self, fd: int) -> None:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise Locked(self.path, _holder(os.pread(fd, 4096, 0))) from error
        except OSError as error:
            raise Unusable(self.path, f"this file system has no locks: {error.strerror}") from error
        os.ftruncate(fd, 0)
        pid = os.getpid()
        holder = Holder(pid=pid, since=datetime.now(UTC), process_start=process_start(pid))
        os.pwrite(fd, msgspec.json.encode(holder), 0)

    def holder(self) -> Holder | None:
        """Return who holds the lock now: a process that lives, and no other that got its pid meanwhile."""
        with self._named_errors(), suppress(FileNotFoundError):
            found = _holder((self.path / "lock").read_bytes())
            return found if found and process_start(found.pid) == found.process_start else None
        return None

    def _read(self, name: str) -> bytes | None:
        with self._named_errors():
            try:
                return (self.run / name).read_bytes()
            except FileNotFoundError:
                return None

    def _write(self, name: str, content: bytes) -> None:
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


def size_bytes(path: Path) -> int:
    """Return the size of a file, 0 when there is none."""
    return path.stat().st_size if path.exists() else 0


def tail(path: Path, from_byte: int) -> str:
    """Return the last lines a log got after `from_byte`, at most 20 and 4 KiB; nothing if it is gone."""
    with suppress(OSError), path.open("rb") as file:
        file.seek(max(from_byte, size_bytes(path) - 4096))
        return "\n".join(file.read(4096).decode(errors="replace").splitlines()[-20:])
    return ""


def _holder(content: bytes) -> Holder | None:
    try:
        return msgspec.json.decode(content, type=Holder)
    except msgspec.DecodeError:  # it was taken a moment ago and not yet signed
        return None


def _password() -> str:
    rest = (secrets.choice(_PASSWORD_REST) for _ in range(_PASSWORD_LENGTH - 1))
    return secrets.choice(_PASSWORD_FIRST) + "".join(rest)


def short(path: Path) -> str:
    """Write a path as a person would: `~` for the home folder."""
    with suppress(RuntimeError, ValueError):  # no home at all, or another folder
        return f"~/{path.relative_to(Path.home())}"
    return str(path)
