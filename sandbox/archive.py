"""Files out of the workspace as a tar stream; nothing is ever unpacked on the host."""

import hashlib
import tarfile
from collections.abc import Callable, Mapping
from typing import Any

from sandbox.order import File, Skipped
from sandbox.paths import refusal
from sandbox.policy import Policy

PROGRAM_UID = 65532  # who the program runs as, on both backends and in the image
MAX_SKIPPED = 100  # a program can make a million odd names; nobody reads more than this
_MAX_SHOWN = 200  # characters of an odd name
_CHUNK_BYTES = 64 * 1024

# Room in the stream for headers: three blocks and the padding of every entry the workspace can hold.
_OVERHEAD_BYTES = 2560

_KINDS = {
    tarfile.SYMTYPE: "a symbolic link",
    tarfile.LNKTYPE: "a second name of another file",
    tarfile.FIFOTYPE: "a named pipe",
    tarfile.CHRTYPE: "a device",
    tarfile.BLKTYPE: "a device",
}


class StreamTooLong(Exception):
    """The tar stream is longer than any workspace within the limits."""


class CappedReader:
    """Read a stream of unknown length; past the cap every read raises."""

    def __init__(self, read: Callable[[int], bytes], cap_bytes: int) -> None:
        self._read = read
        self._left = cap_bytes

    def read(self, size: int) -> bytes:
        """Return up to `size` bytes.

        Raises:
            StreamTooLong: more than the cap was read.
        """
        chunk = self._read(size)
        self._left -= len(chunk)
        if self._left < 0:
            raise StreamTooLong
        return chunk


class Collector:
    """Take the new and changed files out of one workspace within the policy's caps."""

    def __init__(self, policy: Policy, files_in: Mapping[str, bytes]) -> None:
        self._policy = policy
        self._before = {path: hashlib.sha256(content).digest() for path, content in files_in.items()}
        self._sizes_before = {path: len(content) for path, content in files_in.items()}
        self._bytes_left = policy.files_bytes
        self._skipped: list[Skipped] = []
        self._files: dict[str, File] = {}
        self._limits: set[str] = set()

    @property
    def files(self) -> tuple[File, ...]:
        """Return the files taken, sorted by path."""
        return tuple(self._files[path] for path in sorted(self._files))

    @property
    def skipped(self) -> tuple[Skipped, ...]:
        """Return what was left and why, in the stream's order, at most `MAX_SKIPPED`."""
        return tuple(self._skipped)

    @property
    def limits_hit(self) -> frozenset[str]:
        """Return the policy fields that cut something."""
        return frozenset(self._limits)

    def take(self, read: Callable[[int], bytes]) -> None:
        """Read a tar stream whose names start with one folder; keep what came before any damage or cap."""
        # Whatever the workspace really holds fits; files with holes may claim more.
        cap = self._policy.workspace_bytes + _OVERHEAD_BYTES * self._policy.workspace_inodes
        try:
            # "r|" never seeks back and calls read alone; the type of fileobj asks for more.
            source: Any = CappedReader(read, cap)
            with tarfile.open(fileobj=source, mode="r|", errors="surrogateescape") as tar:
                seen: list[tarfile.TarInfo] = tar.members  # type: ignore[attr-defined]  # not in the stubs
                while (entry := tar.next()) is not None:
                    self._offer(tar, entry)
                    seen.clear()  # a stream's past entries are never asked for again
        except StreamTooLong:
            self._limits.add("workspace_bytes")
        except (tarfile.TarError, RecursionError, ValueError, OverflowError, EOFError) as damage:
            self._skip("workspace", f"the archive is damaged: {type(damage).__name__}")

    def _offer(self, tar: tarfile.TarFile, entry: tarfile.TarInfo) -> None:
        path = entry.name.partition("/")[2]
        if entry.isdir():
            return
        reason = self._refusal(path, entry)
        if reason is not None:
            self._skip(path, reason)
            return
        source = tar.extractfile(entry)
        assert source is not None  # a regular file always has a reader
        content = source.read()
        digest = hashlib.sha256(content)
        if self._before.get(path) == digest.digest():
            return
        reason = self._beyond_a_cap(path, len(content))
        if reason is not None:
            self._skip(path, reason)
            return
        self._bytes_left -= len(content)
        self._files[path] = File(path=path, content=content, sha256=digest.hexdigest(), size=len(content))

    def _refusal(self, path: str, entry: tarfile.TarInfo) -> str | None:
        if not entry.isreg():
            return _KINDS.get(entry.type, "not a regular file")
        if entry.size > self._policy.file_bytes and entry.size != self._sizes_before.get(path):
            return self._hit("file_bytes", "the file is too large")
        return refusal(path)

    def _beyond_a_cap(self, path: str, size: int) -> str | None:
        if size > self._policy.file_bytes:
            return self._hit("file_bytes", "the file is too large")
        if len(self._files) >= self._policy.files_count:
            return self._hit("files_count", "too many files")
        if size > self._bytes_left:
            return self._hit("files_bytes", "the files are too large together")
        if path in self._files:
            return "the name came twice"
        return None

    def _hit(self, limit: str, reason: str) -> str:
        self._limits.add(limit)
        return f"{reason} ({limit})"

    def _skip(self, path: str, reason: str) -> None:
        if len(self._skipped) < MAX_SKIPPED:
            self._skipped.append(Skipped(path=shown(path), reason=reason))


def shown(path: str) -> str:
    """Return a name with everything unprintable escaped, cut to a readable length."""
    escaped = (c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in path)
    return "".join(escaped)[:_MAX_SHOWN]
