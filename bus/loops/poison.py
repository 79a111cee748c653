"""Mail that kills its process: marked while it is decided, counted after a death, put aside at the third.

A raise is an outcome, and costs nobody anything. A decision that ends its process (a crash of an extension,
an endless loop, all memory) cannot be one: nobody is left to write it down. So each decision, and each step
of work on an order, is marked before it begins. Whoever finds the mark of a dead process counts a strike for
that mail alone.
"""

from __future__ import annotations

import types
from collections.abc import Coroutine, Generator
from typing import Any, Protocol, TypeVar

from bus.complaints import DeadLetter, Decision
from bus.envelope import Stored
from bus.errors import BusError
from bus.fold import Fold

T = TypeVar("T")

MOST_STRIKES = 3

KILLED = DeadLetter("killed", "killed the performer three times", "")
"""Why an order is answered as failed without being tried a fourth time."""


class Deaths(Protocol):
    """Where marks and strikes are kept, beyond the life of this process."""

    def enter(self, mailbox: str, seq: int) -> None:
        """Mark what is decided from now on; it may end the process."""
        ...

    def leave(self) -> None:
        """Take the mark away: it did not."""
        ...

    def strike(self, mailbox: str, seq: int) -> None:
        """Count a strike now: this mail is about to end the process."""
        ...

    def strikes(self, mailbox: str, seq: int) -> int: ...

    def forgive(self, mailbox: str, seq: int) -> None:
        """Forget the strikes of mail that was handled."""
        ...


class Unmarked:
    """Keeps nothing: for carriers without processes."""

    def enter(self, mailbox: str, seq: int) -> None: ...

    def leave(self) -> None: ...

    def strike(self, mailbox: str, seq: int) -> None: ...

    def strikes(self, mailbox: str, seq: int) -> int:
        return 0

    def forgive(self, mailbox: str, seq: int) -> None: ...


def kills(deaths: Deaths, mailbox: str, fold: Fold[Any], stored: Stored) -> bool:
    """Say whether a mail has ended its process so often that it is not decided again, until it is buried."""
    return deaths.strikes(mailbox, stored.seq) >= MOST_STRIKES and stored.seq not in fold.buried


def decide(deaths: Deaths, mailbox: str, fold: Fold[Any], stored: Stored) -> Decision:
    """Fold a mail under its mark. What ends the process by being raised is a strike, too."""
    deaths.enter(mailbox, stored.seq)
    try:
        return fold.apply(stored)
    except BusError:
        raise
    except BaseException:
        deaths.strike(mailbox, stored.seq)
        raise
    finally:
        deaths.leave()


@types.coroutine
def marked(deaths: Deaths, mailbox: str, seq: int, work: Coroutine[Any, Any, T]) -> Generator[Any, Any, T]:
    """Run work on an order with each of its steps marked, so that others under way beside it are not blamed.

    What it leaves to threads, or to tasks of its own, is not marked.
    """
    failure: BaseException | None = None
    while True:
        deaths.enter(mailbox, seq)
        try:
            waits_for = work.send(None) if failure is None else work.throw(failure)
        except StopIteration as done:
            value: T = done.value
            return value
        finally:
            deaths.leave()
        failure = None
        try:
            yield waits_for
        except BaseException as error:  # a cancellation, or what it waited for failed: its own to handle
            failure = error
