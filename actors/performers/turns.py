"""Whose turn it is: a few runs at once, shared fairly by who sends and for which mission.

The order of arrival alone would serve a sender that floods its mailbox first, and for long. Of those who wait
the sender with the fewest runs is next, of its missions the one with the fewest, and of equals the one that
was served longest ago. One sender never has all runs and one mission never more than half, so that there is
always a run left for the others.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import NamedTuple


class TooMany(Exception):
    """A sender, or one mission of it, waits with more than anybody needs who works: it is not queued."""


class Party(NamedTuple):
    """For whom something runs."""

    sender: str
    mission: str


class Turns:
    """Hands out `runs` turns. Bound to the event loop it is first used in.

    A sender has at most `most_waiting` in the queue, and an eighth of that for one mission.
    """

    def __init__(self, runs: int, most_waiting: int) -> None:
        self._most_waiting = most_waiting
        self._queue = _Queue(runs)

    @asynccontextmanager
    async def turn(self, sender: str, mission: str) -> AsyncIterator[None]:
        """Wait for a turn and hold it for the length of the block.

        Raises:
            TooMany: this sender, or this mission of it, waits with too many already.
        """
        party = Party(sender, mission)
        of_sender, of_mission = self._queue.waiting(party)
        if of_sender >= self._most_waiting or of_mission >= max(1, self._most_waiting // 8):
            raise TooMany(f"{of_sender} runs of {sender} wait already, {of_mission} of them for this mission")
        mine = self._queue.add(party)
        try:
            await mine
            yield
        finally:
            if mine.done() and not mine.cancelled():
                self._queue.done(party)
            else:
                self._queue.remove(party, mine)


class _Queue:
    def __init__(self, runs: int) -> None:
        self._runs = runs
        self._waiting: dict[Party, deque[asyncio.Future[None]]] = {}
        self._running: Counter[Party] = Counter()
        self._of_sender: Counter[str] = Counter()
        self._served: dict[str | Party, int] = {}
        self._turn = 0

    def waiting(self, party: Party) -> tuple[int, int]:
        """Return how many wait of a sender, and of one mission of it."""
        of_sender = sum(
            len(waiting) for other, waiting in self._waiting.items() if other.sender == party.sender
        )
        return of_sender, len(self._waiting.get(party, ()))

    def add(self, party: Party) -> asyncio.Future[None]:
        mine: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(party, deque()).append(mine)
        self._serve()
        return mine

    def remove(self, party: Party, mine: asyncio.Future[None]) -> None:
        if mine in self._waiting.get(party, ()):
            self._waiting[party].remove(mine)
        self._forget(party)

    def done(self, party: Party) -> None:
        self._running[party] -= 1
        self._of_sender[party.sender] -= 1
        self._forget(party)
        self._serve()

    def _serve(self) -> None:
        while self._running.total() < self._runs and (party := self._next()) is not None:
            mine = self._waiting[party].popleft()
            if mine.cancelled():  # it is about to be removed
                continue
            mine.set_result(None)
            self._turn += 1
            self._served[party] = self._served[party.sender] = self._turn
            self._running[party] += 1
            self._of_sender[party.sender] += 1

    def _next(self) -> Party | None:
        most_of_sender, most_of_mission = max(1, self._runs - 1), max(1, self._runs // 2)
        able = [
            party
            for party, waiting in self._waiting.items()
            if waiting
            and self._of_sender[party.sender] < most_of_sender
            and self._running[party] < most_of_mission
        ]
        return min(able, key=self._rank, default=None)

    def _rank(self, party: Party) -> tuple[int, int, int, int]:
        of_sender, of_mission = self._of_sender[party.sender], self._running[party]
        return of_sender, self._served.get(party.sender, 0), of_mission, self._served.get(party, 0)

    def _forget(self, party: Party) -> None:
        if not self._waiting.get(party) and not self._running[party]:
            self._waiting.pop(party, None)
            del self._running[party]
            self._served.pop(party, None)
