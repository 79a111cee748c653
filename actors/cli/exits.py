"""The exit codes of `coo`."""

from __future__ import annotations

from enum import IntEnum

from actors.errors import Kind


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


def exit_code(kind: Kind) -> Exit:
    """Return the exit code of an error of this kind."""
    return Exit[kind.name]


def kind(code: int) -> Kind:
    """Return what sort of trouble an exit code stands for."""
    return Kind[Exit(code).name]
