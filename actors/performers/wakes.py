"""The clock's state: which wakes are open, and which of them is due next. Pure.

It forgets a wake when its tick is in the log, when a newer one of the same name replaces it, and when its
mission is over. A mission has at most `MAX_WAKES` open ones, so the state grows with the missions under way.
"""

from __future__ import annotations

import heapq
from typing import NamedTuple

import msgspec

from bus.subjects import COMPANY

MAX_WAKES = 20
"""Open wakes of one mission; more is a fault of whoever sends them."""

_LEFT_BEHIND = 256
"""Wakes in the heap that are not open any more, before it is made anew."""


class OpenWake(msgspec.Struct, frozen=True, kw_only=True):
    """A wake whose tick is not in the log."""

    mission: str
    sender: str
    id: str
    seq: int
    time_ns: int
    name: str
    at_ns: int

    @property
    def place(self) -> str:
        """What a newer wake of the same name replaces."""
        return f"{self.mission}/{self.sender}/{self.name}"


class Wakes(msgspec.Struct, frozen=True, kw_only=True):
    """What a checkpoint of the clock carries: open wakes by place."""

    open: dict[str, OpenWake] = {}


class _Due(NamedTuple):
    at_ns: int
    place: str
    id: str


class OpenWakes:
    """Open wakes, found by place, by id, by mission and by time."""

    def __init__(self, wakes: Wakes) -> None:
        self._open: dict[str, OpenWake] = {}
        self._by_id: dict[str, str] = {}
        self._by_mission: dict[str, dict[str, None]] = {}
        self._heap: list[_Due] = []
        for wake in wakes.open.values():
            self._put(wake)

    def __len__(self) -> int:
        return len(self._open)

    def snapshot(self) -> bytes:
        """Return the state as one line of JSON."""
        return msgspec.json.encode(Wakes(open=self._open))

    def take(self, wake: OpenWake) -> bool:
        """Add a wake, in the place of an older one; False: its mission has too many."""
        places = self._by_mission.get(wake.mission, {})
        if len(places) >= MAX_WAKES and wake.place not in places:
            return False
        self._drop(wake.place)
        self._put(wake)
        return True

    def ticked(self, cause: str) -> None:
        """Forget the wake, named as `<sender>/<id>`, that a tick in the log answers."""
        if (place := self._by_id.get(cause)) is not None:
            self._drop(place)

    def over(self, mission: str, seq: int) -> None:
        """Forget what a mission asked for before its end at a sequence. The company's own never ends."""
        if mission == COMPANY:
            return
        for place in list(self._by_mission.get(mission, {})):
            if self._open[place].seq < seq:
                self._drop(place)

    def due(self, now_ns: int) -> OpenWake | None:
        """Return the next wake whose time has come; it stays open until it ticked."""
        at_ns = self.next_ns()
        return self._open[self._heap[0].place] if at_ns is not None and at_ns <= now_ns else None

    def next_ns(self) -> int | None:
        """Return the log time of the next wake, None if there is none."""
        while self._heap and not self._is_open(self._heap[0]):
            heapq.heappop(self._heap)
        return self._heap[0].at_ns if self._heap else None

    def _is_open(self, due: _Due) -> bool:
        wake = self._open.get(due.place)
        return wake is not None and (wake.id, wake.at_ns) == (due.id, due.at_ns)

    def _put(self, wake: OpenWake) -> None:
        self._open[wake.place] = wake
        self._by_id[f"{wake.sender}/{wake.id}"] = wake.place
        self._by_mission.setdefault(wake.mission, {})[wake.place] = None
        heapq.heappush(self._heap, _Due(wake.at_ns, wake.place, wake.id))
        if len(self._heap) > 2 * len(self._open) + _LEFT_BEHIND:
            self._heap = [due for due in set(self._heap) if self._is_open(due)]
            heapq.heapify(self._heap)

    def _drop(self, place: str) -> None:
        wake = self._open.pop(place, None)
        if wake is None:
            return
        self._by_id.pop(f"{wake.sender}/{wake.id}", None)
        places = self._by_mission[wake.mission]
        del places[place]
        if not places:
            del self._by_mission[wake.mission]
