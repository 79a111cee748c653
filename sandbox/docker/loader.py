"""Writes an order's files into the workspace, then becomes the program; runs in the container, as its user.

Passed to the container's Python as text, so it imports next to nothing, which also keeps its start short.
It reads a header of "size path" lines, the header's length before it, then the contents one after another;
what follows on the same stream is the program's own input.
"""

import os
import sys

# The module `signal` takes long to import.
from _signal import SIG_DFL, SIGPIPE, SIGXFSZ, signal  # type: ignore[import-not-found]  # no stubs

_MTIME = 1_577_836_800  # 2020-01-01: the same for every run, and late enough for zip
_PIECE_BYTES = 1 << 20


def main() -> None:
    """Serve one order; the words after the script are the program."""
    try:
        header = b"".join(pieces(int(b"".join(pieces(8)))))
        made = {b""}
        for line in header.splitlines():
            size, _, path = line.partition(b" ")
            folder = os.path.dirname(path)
            if folder not in made:
                os.makedirs(folder, exist_ok=True)
                made.add(folder)
            write(path, int(size))
    except OSError as error:
        os.write(2, f"cannot write the files: {error.strerror}\n".encode())
        os._exit(125)
    for number in (SIGPIPE, SIGXFSZ):  # Python ignores them, and what is ignored stays so across exec
        signal(number, SIG_DFL)
    os.execvp(sys.argv[1], sys.argv[1:])


def pieces(size: int):  # type: ignore[no-untyped-def]  # as short as can be: it is sent with each run
    """Yield the next `size` bytes."""
    while size:
        piece = os.read(0, min(size, _PIECE_BYTES))
        if not piece:
            os._exit(125)  # whoever sent them is gone
        size -= len(piece)
        yield piece


def write(path: bytes, size: int) -> None:
    """Write the next `size` bytes into a new file."""
    target = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
    for piece in pieces(size):
        while piece:
            piece = piece[os.write(target, piece) :]
    os.utime(target, (_MTIME, _MTIME))
    os.close(target)


if __name__ == "__main__":
    main()
