"""What a person is told when something cannot be done: its kind, one line of what, one of what to do next."""

from __future__ import annotations

from enum import StrEnum


class Kind(StrEnum):
    """What sort of trouble it is; `coo` gives each an exit code of its own."""

    BUG = "bug"
    USAGE = "usage"
    FAILED = "failed"
    WAITING = "waiting"
    NO_MONEY = "no_money"
    UNREACHABLE = "unreachable"
    NOT_FOUND = "not_found"
    CONFLICT = "conflict"
    TIMEOUT = "timeout"
    UNWRITTEN = "unwritten"
    NO_ROOM = "no_room"
    DETACHED = "detached"


class UserError(Exception):
    """What was asked cannot be done. `what` says it, `fix` what to do next."""

    def __init__(self, kind: Kind, what: str, fix: str = "") -> None:
        self.kind = kind
        self.what = what
        self.fix = fix
        super().__init__(what)
