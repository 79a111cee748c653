"""Watching a mission: its timeline out of the log, then live, until it is over or waits for the CEO."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, Literal, TypeVar

from actors import messages as m
from actors.cli.complaints import why_nothing_is_written
from actors.cli.exits import Exit
from actors.cli.screen import note, out, out_json
from actors.errors import Kind, UserError
from actors.plain import plain
from actors.projections.record import PUBLISHED, Record
from actors.projections.timeline import SCRIPTED, Timeline, closing, spell
from actors.terminal import unread
from bus import blobs
from bus.envelope import Mail, Stored, rfc3339
from bus.errors import BlobMismatch
from bus.ports import Carrier
from bus.subjects import MAIL_STREAM, mission_filter, parts_of

POLL_S = 0.1
SHOWN_BYTES = 2 * 1024 * 1024
"""A reply with more than this is not fetched to count its lines."""

_SETTLE_S = 5.0
"""How long a pause is not the end while the CEO's word against it is under way."""

_SILENCE_S = 5.0

T = TypeVar("T")
View = Literal["silent", "text", "json"]


def exit_of(state: str) -> Exit:
    """Return the exit code of a command that waited for a mission and found it in this state."""
    match state:
        case "completed":
            return Exit.DONE
        case "failed" | "cancelled":
            return Exit.FAILED
        case "paused_budget":
            return Exit.NO_MONEY
        case _:
            return Exit.WAITING


def next_step(record: Record) -> str:
    """Return what the CEO can do about a mission that waits, or nothing."""
    name, fix = record.name, plain(record.status.fix if record.status else "", 300)
    match record.state:
        case "paused_approval":
            return (
                f"Look: coo artifacts get {name} --out DIR. "
                f"Decide: coo approve {name}, or coo reject {name} --reason TEXT."
            )
        case "paused_manual":
            return f"Go on: coo resume {name}. Or end it: coo cancel {name}."
        case "paused_budget":
            return f"{fix}. " * bool(fix) + f"See the money: coo budget ledger {name}."
        case "paused_error":
            return f"{fix}. " * bool(fix) + f"Then: coo resume {name}. Or end it: coo cancel {name}."
        case "completed":
            return f"Get its files: coo artifacts get {name} --out DIR."
        case _:
            return ""


def late(record: Record, timeout_s: float) -> UserError:
    """Return what to say when a mission does not rest in the time that was given."""
    waited = spell(int(timeout_s * 1e9))
    what = f"{record.name} is {record.state} after {waited} of waiting, and goes on."
    return UserError(Kind.TIMEOUT, what, f"Look again: coo follow {record.name}.")


class Watch:
    """One look at one mission, in one of three views."""

    def __init__(self, carrier: Carrier, name: str, view: View, logs: Path | None = None) -> None:
        """Look at a mission; `logs` are those of its actors, if they run on this machine."""
        self.record = Record(name)
        self._carrier = carrier
        self._view = view
        self._timeline = Timeline()
        self._logs = logs
        self._said_nobody = self._said_why = False
        self._unread = True

    async def to_the_end(self, timeout_s: float | None, *, unread: bool = True) -> Record:
        """Show the mission until it rests; unless `unread`, only while somebody reads it.

        Raises:
            UserError: the time is over, or the reader went away; the mission goes on.
        """
        self._unread = unread
        try:
            async with asyncio.timeout(timeout_s):
                await self._to_the_end()
        except TimeoutError as error:
            raise late(self.record, timeout_s or 0) from error
        return self.record

    async def _to_the_end(self) -> None:
        loop = asyncio.get_running_loop()
        quiet_since = loop.time()
        while True:
            pattern = mission_filter(self.record.name)
            page = await _patiently(self._carrier.read(MAIL_STREAM, pattern, self.record.position + 1))
            for stored in page:
                await self._show(stored)
                self._let_go_if_unread()
            if page:
                quiet_since = loop.time()
                continue
            quiet_s = loop.time() - quiet_since
            if self.record.rests and (self.record.is_answered or quiet_s > _SETTLE_S):
                return
            self._say_if_nobody_serves(quiet_s)
            self._say_why_nothing_is_written(quiet_s)
            self._let_go_if_unread()
            await asyncio.sleep(POLL_S)

    def _say_if_nobody_serves(self, quiet_s: float) -> None:
        if self.record.state == PUBLISHED and quiet_s > _SILENCE_S and not self._said_nobody:
            self._said_nobody = True
            note("No COO has taken this mission up yet. It starts when one runs: coo up.")

    def _say_why_nothing_is_written(self, quiet_s: float) -> None:
        if self._logs is None or quiet_s < _SILENCE_S or self._said_why:
            return
        if why := why_nothing_is_written(self._logs):
            self._said_why = True
            note(f"{why}. The mission goes on when it is mended.")

    def _let_go_if_unread(self) -> None:
        if not self._unread and (why := unread()):
            name = self.record.name
            what = f"Not all of {name} was shown: {why}. The mission goes on."
            raise UserError(Kind.UNWRITTEN, what, f"Look again: coo follow {name}.")

    async def _show(self, stored: Stored) -> None:
        mail = self.record.add(stored)
        if self._view == "json":
            out_json(event(stored, mail))
        elif self._view == "text" and mail is not None:
            for line in self._timeline.tell(mail, await self._lines_of(mail)):
                out(str(line), line.style)

    async def _lines_of(self, mail: Mail) -> int | None:
        """Count the lines of the files that a reply wrote, if they are few and there."""
        if not isinstance(mail.message, m.Reply) or not mail.message.files:
            return None
        refs = list(mail.message.files.values())
        if sum(ref.size for ref in refs) > SHOWN_BYTES:
            return None
        try:
            contents = [await blobs.get(self._carrier, ref) for ref in refs]
        except BlobMismatch:
            return None
        return sum(len(content.splitlines()) for content in contents)

    def close(self, *, as_json: bool, delivered: bool = False, authority: str = "enforced") -> Exit:
        """Say how it ended and what can be done now, and return the exit code of that."""
        record = self.record
        at_ns = self._carrier.now_ns()
        code = exit_of(record.state)
        if as_json:
            out_json({**result(record, at_ns), "authority": authority})
            return code
        out(closing(record, at_ns), "bold")
        if record.scripted:
            out(SCRIPTED)
        if not delivered and (hint := next_step(record)):
            note(hint)
        return code


def event(stored: Stored, mail: Mail | None) -> dict[str, Any]:
    """Return a message of the log as JSON; what cannot be decoded, or was there before, has no message."""
    parts = parts_of(stored.subject)
    return {
        "type": "coo.log.message",
        "seq": stored.seq,
        "time": rfc3339(stored.time_ns),
        "mission": parts.mission,
        "to": parts.to,
        "kind": parts.kind,
        "from": parts.sender,
        "id": mail.id if mail else None,
        "message": json.loads(stored.text) if mail else None,
    }


def result(record: Record, at_ns: int) -> dict[str, Any]:
    """Return what became of a mission as the last JSON object of a command that waited for it."""
    took_ns = (record.status_ns or record.last_ns) - record.published_ns
    return {
        "type": "coo.cli.result",
        "mission": record.name,
        "state": record.state,
        "exit": int(exit_of(record.state)),
        "duration_s": round(max(0, took_ns) / 1e9, 3),
        **record.told(at_ns),
    }


async def _patiently(reading: Coroutine[Any, Any, T]) -> T:
    """Wait for a read as long as it takes, and say so when it takes long."""
    task = asyncio.ensure_future(reading)
    try:
        done, _ = await asyncio.wait({task}, timeout=_SILENCE_S)
        if not done:
            note("The server does not answer. Waiting for it to come back; Ctrl-C stops waiting.")
        return await task
    finally:
        task.cancel()
