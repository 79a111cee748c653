"""Taking and publishing checkpoints: never before all letters of mail up to their position."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sized
from typing import Any, Protocol

from bus.errors import BusError, DecisionChanged
from bus.fold import Fold, Role
from bus.loops import checkpoints
from bus.loops.publisher import Publisher, Signal
from bus.ports import Carrier

_BYTES_A_MESSAGE = 2_048
"""What checkpoints may write for each message decided, so that a big state does not fill the store."""


class Saved(Protocol):
    """A key, as far as it is saved; `entries` are the messages whose letters are not all in the log."""

    name: str
    fold: Fold[Any] | None
    error: BusError | None
    checkpoint_at: int
    snapshot: tuple[int, bytes] | None
    saved_bytes: int

    @property
    def entries(self) -> Sized: ...

    def halt(self, error: DecisionChanged) -> None: ...


class Saver:
    """Saves the folds of one role. `ended` is called with every task that has ended."""

    def __init__(
        self,
        carrier: Carrier,
        role: Role[Any],
        publisher: Publisher,
        ended: Callable[[asyncio.Task[None]], None],
    ) -> None:
        self._carrier = carrier
        self._role = role
        self._publisher = publisher
        self._ended = ended
        self.tasks: dict[asyncio.Task[None], None] = {}

    def is_due(self, key: Saved, every: int) -> bool:
        """Say whether to save a key: after so many messages, or more if its last snapshot was big."""
        assert key.fold is not None
        paid = key.fold.count - key.checkpoint_at
        return paid >= max(every, key.saved_bytes // _BYTES_A_MESSAGE) and key.snapshot is None

    def snapshot(self, key: Saved) -> None:
        """Take a key's state as it is now; it is saved when what led to it is published."""
        assert key.fold is not None
        if key.fold.count == key.checkpoint_at:
            return
        key.snapshot = (key.fold.position, key.fold.snapshot())
        key.saved_bytes = len(key.snapshot[1])
        key.checkpoint_at = key.fold.count
        if not key.entries:
            self.save(key)

    def save(self, key: Saved) -> None:
        """Publish a key's snapshot; every letter of mail up to its position is in the log by now."""
        assert key.snapshot is not None
        position, fold = key.snapshot
        task = asyncio.create_task(self._save(key, position, fold))
        self.tasks[task] = None
        task.add_done_callback(self._saved)
        key.snapshot = None

    async def save_all(self, keys: Iterable[Saved]) -> None:
        """Save every key that has folded anything since its last checkpoint, and wait until it is done."""
        saves = []
        for key in keys:
            if key.fold is not None and key.fold.count > key.checkpoint_at and key.error is None:
                saves.append(self._save(key, key.fold.position, key.fold.snapshot()))
        await asyncio.gather(*saves)

    async def _save(self, key: Saved, position: int, fold: bytes) -> None:
        letter = await checkpoints.letter(self._carrier, self._role, key.name, position, fold)
        saved = asyncio.get_running_loop().create_future()
        self._publisher.send(letter, Signal(saved))
        try:
            await saved
        except DecisionChanged as error:  # another checkpoint stands under this id: this key alone stops
            key.halt(error)

    def _saved(self, task: asyncio.Task[None]) -> None:
        self.tasks.pop(task, None)
        self._ended(task)
