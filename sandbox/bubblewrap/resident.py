"""How much memory a tree of processes holds, read from /proc: for where there is no control group to ask."""

import contextlib
import os
from pathlib import Path

_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


def holds_more_than(root: int, limit_bytes: int) -> bool:
    """Tell whether a process and its descendants hold more than a limit together.

    Looks at the exact figure, in which shared pages count once, only when the cheap one is above the limit.
    """
    tree = _tree(root)
    if sum(map(_resident_bytes, tree)) <= limit_bytes:
        return False
    return sum(map(_proportional_bytes, tree)) > limit_bytes


def _tree(root: int) -> list[int]:
    found, waiting = [], [root]
    while waiting:
        pid = waiting.pop()
        found.append(pid)
        with contextlib.suppress(OSError):
            for task in os.listdir(f"/proc/{pid}/task"):
                children = Path(f"/proc/{pid}/task/{task}/children").read_text("ascii")
                waiting += [int(child) for child in children.split()]
    return found


def _resident_bytes(pid: int) -> int:
    with contextlib.suppress(OSError):
        return int(Path(f"/proc/{pid}/statm").read_text("ascii").split()[1]) * _PAGE_BYTES
    return 0


def _proportional_bytes(pid: int) -> int:
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text("ascii").splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    return _resident_bytes(pid)
