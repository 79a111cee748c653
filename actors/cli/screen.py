"""What the desk writes: data on stdout, chatter on stderr, a foreign field as one short line.

That nothing foreign is obeyed is not decided here, but where it is written out: `actors.terminal`.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping, Sequence

from actors.plain import plain
from actors.terminal import Terminal


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
