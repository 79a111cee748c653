"""What a process has at hand to serve its mailboxes: handed to whatever serves one."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import msgspec

from bus.loops.means import LoopSettings
from bus.loops.performer import Performer, PerformerLoop
from bus.loops.poison import Deaths
from bus.ports import Carrier
from bus.table import Halts, Table
from config.parts import ActorConfig

if TYPE_CHECKING:
    from sandbox import Backend

T = TypeVar("T")


class Loop(Protocol):
    """Something that serves a mailbox until told to stop."""

    async def run(self, stop: asyncio.Event) -> None: ...


@dataclass(frozen=True, kw_only=True)
class Stage:
    """A carrier, the table, and this process's part of the settings.

    `nonce` names this process in the money path and is its alone. `deaths` keeps what kills this process.
    `find_backend` finds what isolates programs, where this process does not look for it itself.
    """

    table: Table
    carrier: Carrier
    config: ActorConfig
    halts: Halts
    nonce: str
    deaths: Deaths | None = None
    find_backend: Callable[[], Awaitable[Backend]] | None = None

    def part(self, name: str, type_: type[T]) -> T:
        """Return a part of the settings that a mailbox of this process needs, as its owner's own type.

        Raises:
            KeyError: no mailbox of this process says that it needs it.
            msgspec.ValidationError: it is not of this type.
        """
        return msgspec.json.decode(self.config.parts[name], type=type_)

    def own(self, type_: type[T]) -> T:
        """Return what the settings say under `actors.<this actor>`.

        Raises:
            msgspec.ValidationError: it is not of this type.
        """
        return msgspec.json.decode(self.config.own, type=type_)

    @property
    def loop_settings(self) -> LoopSettings:
        return msgspec.json.decode(self.config.bus, type=LoopSettings)

    def serving(self, performer: Performer, slots: int) -> PerformerLoop:
        """Return the loop that serves a performer's orders, so many at once."""
        return PerformerLoop(
            performer,
            self.table,
            self.carrier,
            halts=self.halts,
            slots=slots,
            ack_wait_s=self.loop_settings.ack_wait_s,
            deaths=self.deaths,
        )


Serve = Callable[[Stage, str], Any]
"""A function that returns the loop that serves a mailbox: what `served_by` names for orders."""
