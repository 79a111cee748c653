"""A few started containers that wait for an order; each serves one and is removed.

Safe from any thread: a spare is in the queue once, and whoever took it out of the queue has it.
"""

import time
from collections import deque
from collections.abc import Callable
from typing import NamedTuple


class Spare(NamedTuple):
    """Name a started container nothing ran in, and when it was made, on the monotonic clock."""

    container: str
    made_s: float


class Pool:
    """Keep up to `size` spares, none older than `life_s`.

    make, remove: block; what they raise comes out of `fill` and `empty`.
    """

    def __init__(
        self, size: int, life_s: float, make: Callable[[], Spare], remove: Callable[[str], None]
    ) -> None:
        self._size = size
        self._life_s = life_s
        self._make = make
        self._remove = remove
        self._spares: deque[Spare] = deque()
        self._expired: deque[Spare] = deque()

    def __len__(self) -> int:
        return len(self._spares)

    def take(self) -> Spare | None:
        """Return a spare, the oldest first, or None; it is the caller's from now on."""
        while self._spares:
            try:
                spare = self._spares.popleft()
            except IndexError:  # another thread was faster
                return None
            if not self._is_old(spare):
                return spare
            self._expired.append(spare)
        return None

    def give_back(self, spare: Spare) -> None:
        """Take back a spare in which nothing ran."""
        self._spares.appendleft(spare)

    def fill(self) -> None:
        """Remove what is too old and make what is missing, one after another; one thread at a time."""
        young = self.take()
        if young is not None:
            self.give_back(young)
        self._remove_expired()
        while len(self._spares) < self._size:
            self._spares.append(self._make())

    def empty(self) -> None:
        """Remove every spare; nobody may call `fill` at the same time or afterwards."""
        while self._spares:
            self._expired.append(self._spares.popleft())
        self._remove_expired()

    def _remove_expired(self) -> None:
        while self._expired:
            self._remove(self._expired[0].container)
            self._expired.popleft()

    def _is_old(self, spare: Spare) -> bool:
        return time.monotonic() - spare.made_s > self._life_s
