"""What the desk writes: data on stdout, chatter on stderr, a foreign field as one short line.

That nothing foreign is obeyed is not decided here, but where it is written out: `actors.terminal`.
"""

from __future__ import annotations

import json
import re
import sys
import unicodedata
from collections.abc import Iterable, Mapping, Sequence

from actors.terminal import Terminal

_ESCAPES = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]"  # CSI: colours, cursor
    r"|\x1b[\]PX^_][^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)?"  # OSC, DCS, …: titles, clipboard, links
    r"|\x1b[ -/]*[0-~]?"
    r"|\x9b[0-?]*[ -/]*[@-~]"
)
_HIDDEN = frozenset({"Cc", "Cf", "Cs"})
_BREAKS = frozenset({"Zl", "Zp"})


def plain(text: str, limit: int = 200) -> str:
    """Return foreign text as one harmless line of at most `limit` characters."""
    line = " ".join(_harmless(text).split())
    return line if len(line) <= limit else line[: max(0, limit - 1)] + "…"


def plain_lines(text: str) -> str:
    """Return foreign text without escape sequences and control characters; line breaks and tabs stay."""
    return _harmless(text)


def _harmless(text: str) -> str:
    return "".join(map(_character, _ESCAPES.sub("", text.replace("\r\n", "\n"))))


def _character(character: str) -> str:
    if character in "\n\t":
        return character
    category = unicodedata.category(character)
    if category in _BREAKS:
        return " "
    return "" if category in _HIDDEN else character


def out(text: str, style: str = "") -> None:
    """Write a line of data to stdout at once; a style shows on a terminal only, and only as colour."""
    if isinstance(sys.stdout, Terminal):
        sys.stdout.styled(text, style)
    else:
        print(text, flush=True)


def out_json(value: object) -> None:
    """Write a value as one line of JSON to stdout at once, what a terminal would obey escaped in it."""
    out(json.dumps(value))


def note(text: str) -> None:
    """Write a line for people to stderr."""
    print(text, file=sys.stderr, flush=True)


def out_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Write rows in columns as wide as their widest cell; the last column is not padded."""
    lines = [list(head), *([plain(cell) for cell in row] for row in rows)]
    widths = [max(len(line[n]) for line in lines) for n in range(len(head) - 1)]
    for line in lines:
        out("  ".join([*(cell.ljust(width) for cell, width in zip(line, widths, strict=False)), line[-1]]))


def out_pairs(pairs: Mapping[str, str]) -> None:
    """Write names and values, one pair a line, without those that are empty."""
    width = max(map(len, pairs), default=0)
    for name, value in pairs.items():
        if value:
            out(f"{name:<{width}}  {plain(value, 4_000)}")
