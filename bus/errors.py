"""Errors of the post office, split by whose fault they are.

Ours end the process, the sender's become dead letters, the world's are tried again.
"""

from __future__ import annotations


class BusError(Exception):
    """Root of everything this package raises."""


class NotPermitted(BusError):
    """Ours: the broker refused a subject to this principal. Fatal, since waiting would not help."""

    def __init__(self, principal: str, detail: str) -> None:
        self.principal = principal
        self.detail = detail
        super().__init__(f"{principal} is not allowed to do that on this server: {detail}")


class WrongCredentials(BusError):
    """Ours: the server did not accept the user or the password."""

    def __init__(self, url: str, principal: str) -> None:
        self.url = url
        self.principal = principal
        super().__init__(f"{url} refuses the credentials of {principal}")


class TopologyConflict(BusError):
    """Ours: a stream or consumer exists with settings that cannot be changed in place."""


class NotSetUp(BusError):
    """Ours: the stream or consumer is not there; `coo setup` makes it."""


class NewerVersion(BusError):
    """Ours: the log was written by a newer version of this role; the process must not write."""


class DecisionChanged(BusError):
    """Ours: the log holds another letter than this code decided; nothing more is published.

    `version` is that of the letter in the log, 0 where it has none.
    """

    def __init__(self, role: str, key: str, seq: int, cause_seq: int, version: int = 0) -> None:
        self.role = role
        self.key = key
        self.seq = seq
        self.cause_seq = cause_seq
        self.version = version
        super().__init__(
            f"{role} decides differently from the log for {key}: letter {seq}, decided at {cause_seq}"
        )


class Quarantined(BusError):
    """Ours, but caused by one mail: it ended its process three times. Its key waits for the operator."""

    def __init__(self, role: str, key: str, seq: int) -> None:
        self.role = role
        self.key = key
        self.seq = seq
        super().__init__(f"message {seq} killed {role} three times: see it with `coo bury {seq}`")


class BuriedLater(BusError):
    """Ours: a fold has decided mail that was buried after that; it must be begun anew."""


class BadMail(BusError):
    """The sender's: mail that cannot be decided. `reason` is a constant word, `detail` says more."""

    def __init__(self, reason: str, detail: str) -> None:
        self.reason = reason
        self.detail = detail
        super().__init__(f"{reason}: {detail}")


class BadLetter(BusError):
    """Ours, as an outcome: a role decided a letter that the table does not have, or one too big."""


class NotAToken(BadLetter, ValueError):
    """Ours: something was to become a part of a subject or of a filter that cannot be one."""

    def __init__(self, part: object) -> None:
        self.part = part
        super().__init__(f"{part!r:.200} cannot be a part of a subject: a-z, 0-9, - and _, 64 at most")


class BlobMismatch(BusError):
    """The sender's: a blob whose bytes are not those its reference names, or not there at all."""


class Unreachable(BusError):
    """The world's: no server answered."""


class ReadEndsEarly(BusError):
    """The world's: the log ends, for whoever reads it, before a message that is known to be in it."""

    def __init__(self, stream: str, seq: int, times: int) -> None:
        self.stream = stream
        self.seq = seq
        super().__init__(
            f"message {seq} is in {stream}, but was not there in {times} reads: the log cannot be trusted now"
        )


class Unknown(BusError):
    """The world's: no answer in time, so the publish may or may not have happened. Safe to repeat."""


class Occupied(BusError):
    """The world's: a write-once subject already holds a message."""
