"""What is asked of the sandbox and what it answers."""

import re
from collections.abc import Mapping
from typing import Literal

import msgspec

from sandbox.errors import OrderRefused
from sandbox.paths import check_tree

Status = Literal[
    "ok",
    "failed",
    "timeout",
    "out_of_memory",
    "output_limit",
    "killed",
    "dropped",
    "engine_error",
    "not_started",
]
BackendName = Literal["docker", "bubblewrap"]

_ID = re.compile(r"[A-Za-z0-9_.-]{1,64}", re.ASCII)
MAX_ARGV_BYTES = 128 * 1024  # what the kernel takes for one argument


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """Ask for one program to be run on some files.

    id: names the run; the same id cannot run twice at once. Letters, digits, `_`, `.`, `-`; up to 64.
    argv: the program and its arguments; no shell is involved. It starts in /workspace.
    files: relative POSIX path -> content, put into /workspace before the start.
    timeout_s: wall-clock seconds of the program alone; the policy's maximum still holds.
    stdin: what the program reads; b"" is an empty input.

    Raises:
        OrderRefused: the id, argv or time-out is not as above.
        PathRefused: a file's path is not as above.
    """

    id: str
    argv: tuple[str, ...]
    files: Mapping[str, bytes] = {}
    timeout_s: float = 60.0
    stdin: bytes = b""

    def __post_init__(self) -> None:
        if not _ID.fullmatch(self.id):
            raise OrderRefused(f"order id {self.id!r}: 1 to 64 of A-Z a-z 0-9 _ . - are allowed")
        if not self.argv or not self.argv[0]:
            raise OrderRefused(f"order {self.id}: argv names no program")
        if any("\0" in word or len(word.encode()) >= MAX_ARGV_BYTES for word in self.argv):
            raise OrderRefused(f"order {self.id}: an argument has a zero byte or is longer than 128 KiB")
        if not 0 < self.timeout_s < float("inf"):
            raise OrderRefused(f"order {self.id}: the time-out must be a positive number of seconds")
        check_tree(frozenset(self.files))


class Stream(msgspec.Struct, frozen=True, kw_only=True):
    """Hold what a program wrote to one stream.

    head: the start, and everything when nothing was cut; bytes that are not UTF-8 became U+FFFD.
    tail: the end, "" when nothing was cut.
    total_bytes, sha256: of all bytes that arrived, kept or not.
    content: the bytes themselves, b"" when something was cut.
    """

    head: str
    tail: str
    total_bytes: int
    sha256: str
    content: bytes = b""

    @property
    def cut(self) -> bool:
        """Whether bytes are missing between head and tail."""
        return bool(self.tail)


def whole_text(stream: Stream) -> str:
    """Return what was kept of a stream as one text that says where something is missing."""
    if not stream.tail:
        return stream.head
    return f"{stream.head}\n[... the middle of {stream.total_bytes} bytes is left out ...]\n{stream.tail}"


class File(msgspec.Struct, frozen=True, kw_only=True):
    """Hold one regular file that the program wrote or changed; `sha256` is of `content`, `size` in bytes."""

    path: str
    content: bytes
    sha256: str
    size: int


class Skipped(msgspec.Struct, frozen=True, kw_only=True):
    """Name something in the workspace that was not taken out; `path` is escaped to printable characters."""

    path: str
    reason: str


NO_OUTPUT = Stream(
    head="",
    tail="",
    total_bytes=0,
    sha256="e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
)


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """Say how a run ended.

    status: `ok` and `failed` are the program's own end (exit code 0 or not). `timeout`, `out_of_memory`,
        `output_limit`: a limit ended it. `killed`: something else ended it by force. `engine_error`: the
        engine failed while it ran; what the program did is unknown. `not_started`: nothing ran, trying again
        is safe. `dropped` is never answered here: it is for whoever cancels `run`.
    exit_code: the program's own, 128 + n after signal n; None when it has none.
    files: new or changed regular files, sorted by path; none unless the program ended by itself.
    skipped: what was left in the workspace and why.
    limits_hit: policy fields that cut something, sorted.
    image_id: what the program ran in: the image's id, or the key of bubblewrap's root file system.
    wall_ms: from the program's start to its end. cpu_ms: None when it could not be read.
    reason, fix: one line each for a person; "" when there is nothing to say.
    """

    status: Status
    exit_code: int | None = None
    stdout: Stream = NO_OUTPUT
    stderr: Stream = NO_OUTPUT
    files: tuple[File, ...] = ()
    skipped: tuple[Skipped, ...] = ()
    limits_hit: tuple[str, ...] = ()
    image_id: str = ""
    backend: BackendName
    wall_ms: int = 0
    cpu_ms: int | None = None
    reason: str = ""
    fix: str = ""
