"""What can go wrong at the CEO's desk: one line of what, one of what to do next, one exit code."""

from __future__ import annotations

from enum import IntEnum


class Exit(IntEnum):
    """Exit codes of every command. 3, 4 and 5 only of commands that wait for a mission.

    10: all was done, but stdout took no more: its reader went away, or its disk is full. 11: the server's
    store takes no more messages.
    """

    DONE = 0
    BUG = 1
    USAGE = 2
    FAILED = 3
    WAITING = 4
    NO_MONEY = 5
    UNREACHABLE = 6
    NOT_FOUND = 7
    CONFLICT = 8
    TIMEOUT = 9
    UNWRITTEN = 10
    NO_ROOM = 11
    DETACHED = 130


class DeskError(Exception):
    """A command cannot do what it was asked. `what` says it, `fix` what to do next."""

    def __init__(self, code: Exit, what: str, fix: str = "") -> None:
        self.code = code
        self.what = what
        self.fix = fix
        super().__init__(what)
