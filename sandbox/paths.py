"""Which names a file may have on its way in and on its way out."""

import unicodedata

from sandbox.errors import PathRefused
from sandbox.obeyed import refusal_of_names

MAX_DEPTH = 16  # levels; deeper trees are attacks on whoever walks them
MAX_NAME_BYTES = 255  # what Linux file systems take for one name


def refusal(path: str) -> str | None:
    """Return why a path is refused, or None for a relative POSIX path of plain names that nothing obeys.

    Case is the caller's concern: `a` and `A` are two files here.
    """
    if not path:
        return "the path is empty"
    if path.startswith("/"):
        return "the path is absolute"
    if "\\" in path:
        return "the path has a backslash"
    if any(unicodedata.category(character) in {"Cc", "Cf", "Cs", "Zl", "Zp"} for character in path):
        return "the path has a control or format character or is not UTF-8"
    names = path.split("/")
    if len(names) > MAX_DEPTH:
        return f"the path has more than {MAX_DEPTH} levels"
    if any(name in {"", ".", ".."} for name in names):
        return "the path has an empty, '.' or '..' part"
    if any(len(name.encode()) > MAX_NAME_BYTES for name in names):
        return f"a name is longer than {MAX_NAME_BYTES} bytes"
    return refusal_of_names(names)


def check_path(path: str) -> None:
    """Refuse a path that is not a plain relative POSIX path.

    Raises:
        PathRefused: absolute, empty, `.` or `..` parts, backslash, control characters, too deep or too long,
            a leading `-`, or a name of a version control system's own.
    """
    reason = refusal(path)
    if reason is not None:
        raise PathRefused(path, reason)


def check_tree(paths: frozenset[str]) -> None:
    """Refuse a set of paths that no file system can hold.

    Raises:
        PathRefused: a path is refused by itself, or is a file and a folder at once.
    """
    for path in paths:
        check_path(path)
        parents = path.split("/")[:-1]
        for depth in range(1, len(parents) + 1):
            if "/".join(parents[:depth]) in paths:
                raise PathRefused(path, "one of its folders is also a file")
