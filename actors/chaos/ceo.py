"""The CEO of a simulation: what is said, right after which message of the log, and what may follow."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from random import Random
from typing import NamedTuple

import msgspec

from actors import messages as m
from bus import subjects
from bus.envelope import Stored
from bus.memory import MemoryServer

WORDS = ("pause", "resume", "raise", "approve", "reject", "nap", "cancel", "deadline")
"""All that the CEO can do to a mission; to let time pass is one of it. The last two are its end."""

_LIKELY = WORDS[:6] * 2 + WORDS[6:]
_STEPS = 120
"""Messages of the log after which something may be said: about as many as a mission has."""

_NAP_S, _DEADLINE_S = 700.0, 3_600
_PATIENCE_S = 4.0
"""Virtual seconds that a mission waits before the CEO does what its status asks for."""

TERMS = m.Terms(
    models={},
    ask_release=True,
    ask_raise=True,
    deadline_s=_DEADLINE_S,
    approval_timeout_s=650,
    park_after_s=600,
)
"""Terms under which there is something to decide, and to be late for. A nap outlasts the last two."""


class Said(NamedTuple):
    """A word, and the sequence of the message right after which it is said."""

    step: int
    word: str


def drawn(chance: Random, count: int) -> tuple[Said, ...]:
    """Draw words from a seed."""
    return tuple(Said(chance.randint(2, _STEPS), chance.choice(_LIKELY)) for _ in range(count))


Say = Callable[[str, str, msgspec.Struct, str], Awaitable[None]]


class Ceo:
    """Listens to the log of one mission and says its words; then sees to it that the mission goes on."""

    def __init__(
        self,
        words: Iterable[Said],
        say: Say,
        status: Callable[[], tuple[Stored, m.Status] | None],
        pass_time: Callable[[float], None],
    ) -> None:
        self._words = sorted(words)
        self._say = say
        self._status = status
        self._pass_time = pass_time
        self.said: list[str] = []
        self.tasks: list[asyncio.Task[None]] = []
        self._began_ns: int | None = None

    def listen(self, server: MemoryServer) -> None:
        """Say each word when its message is stored."""
        server.listeners.append((server.connect(), subjects.mission_filter(), self._heard))

    def _heard(self, stored: Stored) -> None:
        self._began_ns = self._began_ns or stored.time_ns
        while self._words and self._words[0].step <= stored.seq:
            self.tasks.append(asyncio.create_task(self._speak(self._words.pop(0))))

    async def _speak(self, said: Said) -> None:
        number, word = len(self.said), said.word
        self.said.append(word)
        found = self._status()
        asks = found[1].asks if found else ""
        match word:
            case "pause" | "resume" | "cancel":
                await self._say("coo", "m-1", m.Control(action=word), f"word-{number}")
            case "raise":
                more = m.Decision(digest=f"own-{number}", verdict="approve", raise_microusd=10**6)
                await self._say("approval", "m-1", more, f"word-{number}")
            case "approve" | "reject":
                decision = m.Decision(digest=asks or "nothing", verdict=word)
                await self._say("approval", "m-1", decision, f"word-{number}")
            case "nap":
                self._pass_time(_NAP_S)
            case "deadline":
                self._pass_time(_DEADLINE_S)

    async def attend(self, now_ns: int) -> None:
        """Do what the status of a mission that has waited for a while asks for."""
        found = self._status()
        if found is None or found[1].state not in m.PAUSED or now_ns - found[0].time_ns < _PATIENCE_S * 1e9:
            return
        stored, status = found
        if status.asks:
            decision = m.Decision(digest=status.asks, verdict="approve")
            await self._say("approval", "m-1", decision, f"approve-{stored.seq}")
        if not status.asks or status.state in ("paused_manual", "paused_error"):
            await self._say("coo", "m-1", m.Control(action="resume"), f"resume-{stored.seq}")

    def allows(self, status: m.Status) -> bool:
        """Say whether a mission may have ended like this after what was said."""
        match status.state:
            case "cancelled":
                return "cancel" in self.said
            case "failed" if status.reason.startswith("deadline"):
                return not {"deadline", "nap"}.isdisjoint(self.said) or self._is_late()
            case "failed" if status.reason.startswith("the CEO rejected the release"):
                return "reject" in self.said
        return False

    def _is_late(self) -> bool:
        """Say whether the time of the mission was over when it last said how it stands."""
        found = self._status()
        if found is None or self._began_ns is None:
            return False
        return found[0].time_ns - self._began_ns >= _DEADLINE_S * 1e9
