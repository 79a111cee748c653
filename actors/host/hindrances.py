"""What outside the company's processes keeps one from running: a disk, or what is gone from the server.

While it lasts nobody is started in vain, and nobody is given up for it.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

from actors.disk import shortage, unwritable
from actors.host.datadir import DataDir, short
from actors.host.failover import mailboxes_of
from actors.host.nats.store import PROBE_BYTES
from actors.host.supervisor import ProcessEvent
from bus.errors import BusError, Unreachable
from bus.jetstream import JetStreamCarrier
from bus.subjects import MAIL_STREAM

NAME = "coo up"

_FILES_BYTES = 64 * 1024
"""What a process that starts may write into `run` and `logs` before it does anything."""

_LOOK_S = 1.0
_NOT_FOUND = 404


class Hindrances:
    """Looks at a data directory, and with the admin's login at the server. Never raises."""

    def __init__(self, data_dir: DataDir) -> None:
        self._data_dir = data_dir
        self.admin: JetStreamCarrier | None = None

    async def of_server(self, ended: ProcessEvent) -> str:
        """Return what keeps nats-server from running."""
        data = self._data_dir
        return data.replaced() or await asyncio.to_thread(_first, [(data.nats, PROBE_BYTES), *_files(data)])

    async def of_actor(self, ended: ProcessEvent) -> str:
        """Return what keeps the process of an actor from running."""
        data = self._data_dir
        why = data.replaced() or await asyncio.to_thread(_first, _files(data))
        if not why and ended.returncode in (os.EX_TEMPFAIL, os.EX_CONFIG):
            why = await self._missing(ended.name)
        return why

    async def _missing(self, process: str) -> str:
        if self.admin is None:
            return ""
        try:
            for mailbox in mailboxes_of(process):
                info = await self.admin.api(f"$JS.API.CONSUMER.INFO.{MAIL_STREAM}.{mailbox}", {})
                if info.get("error", {}).get("code") == _NOT_FOUND:
                    return f"the consumer {mailbox} is gone from the server; coo setup makes it again"
        except Unreachable:
            return "the NATS server does not answer"
        except BusError:
            pass  # who may not look cannot know
        return ""


def _files(data_dir: DataDir) -> list[tuple[Path, int]]:
    return [(data_dir.run, _FILES_BYTES), (data_dir.logs, _FILES_BYTES)]


def _first(folders: list[tuple[Path, int]]) -> str:
    lacking = ((folder, unwritable(folder, room_bytes)) for folder, room_bytes in folders)
    return next((f"{why}: {short(folder)}" for folder, why in lacking if why), "")


async def watch_files(
    data_dir: DataDir, on_event: Callable[[ProcessEvent], None], save: Callable[[], str]
) -> None:
    """Tell when `run` or `logs` cannot be written, and when they can again, until cancelled.

    `save` is called each second; it does what is still to be written, and returns what was in the way.
    """
    before = ""
    while True:
        now = await asyncio.to_thread(_short_of_room, data_dir) or save()
        if now and not before:
            on_event(ProcessEvent("stuck", NAME, os.getpid(), None, now))
        elif before and not now:
            on_event(ProcessEvent("started", NAME, os.getpid()))
        before = now
        await asyncio.sleep(_LOOK_S)


def _short_of_room(data_dir: DataDir) -> str:
    if moved := data_dir.replaced():
        return f"{moved}: {short(data_dir.path)}"
    lacking = ((folder, shortage(folder, room_bytes)) for folder, room_bytes in _files(data_dir))
    return next((f"{why}: {short(folder)}" for folder, why in lacking if why), "")
