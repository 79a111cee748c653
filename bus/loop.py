"""The role loop: catch up, decide, publish, ack. It knows no role.

Whoever handles a mail, however often, decides the same letters with the same ids, so nothing needs a
lock, a lease or an outbox. Whoever folds a mail publishes its letters: those of a process that died go out
with the next mail, whoever handles it.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from bus import deadletters, subjects
from bus.checkpoints import Start
from bus.complaints import Decision, misaddressed
from bus.envelope import Outgoing, Stored, version_of
from bus.errors import BuriedLater, DecisionChanged, NewerVersion, Quarantined
from bus.fold import Role
from bus.past import Past
from bus.poison import Deaths, Unmarked, decide, kills
from bus.ports import Behind, Carrier, Consumer, Delivery
from bus.progress import Entry, Key, Path
from bus.publisher import Publisher, publish_surely
from bus.reporting import Reporter
from bus.saving import Saver
from bus.structured import structlog
from bus.subjects import COMPANY, MAIL_STREAM
from bus.table import BURIED, CHECKPOINT, Table

log = structlog.get_logger("bus")

_SLICE_S = 0.001
"""Handler time after which the loop lets timers and acks run: a wider slice is paid for in repeats."""

_IDLE_KEYS = 1000
"""Keys kept in memory when nothing is under way for them; others are folded again from the log."""


@dataclass(frozen=True, kw_only=True)
class LoopSettings:
    """How a loop pulls and saves. `old_after_s`: mail older than this is published after a look at the log.

    It must be well below the duplicate window, since within that the server drops second copies.
    """

    window: int = 256
    ack_wait_s: float = 10.0
    checkpoint_every: int = 256
    old_after_s: float = 300.0
    drain_s: float = 8.0


class RoleLoop:
    """Serves one role's mailbox until it is stopped."""

    def __init__(
        self,
        role: Role[Any],
        table: Table,
        carrier: Carrier,
        settings: LoopSettings | None = None,
        deaths: Deaths | None = None,
    ) -> None:
        self.role = role
        self.deaths = deaths or Unmarked()
        self.table = table
        self.carrier = carrier
        self.settings = settings or LoopSettings()
        self._per_company = table.mailbox(role.name).per == "company"
        self._keys: OrderedDict[str, Key] = OrderedDict()
        self._publisher = Publisher(carrier)
        self._past = Past(carrier, table, role)
        self._saver = Saver(carrier, role, self._publisher, self._worker_done)
        self._reporter = Reporter(role, table, carrier, self._past, self._publisher, self._die)
        self._consumer: Consumer | None = None
        self._unhandled: dict[Delivery, None] = {}
        self._lease: asyncio.Task[None] | None = None
        self._stopping = False
        self._fatal: asyncio.Future[BaseException] = asyncio.get_running_loop().create_future()
        self._path = Path()
        self._slice_end = 0.0

    async def start(self) -> None:
        """Begin to pull."""
        self._consumer = await self.carrier.consume(
            MAIL_STREAM, self.role.name, self.settings.window, self._on_delivery
        )

    async def run(self, stop: asyncio.Event) -> None:
        """Serve until `stop` is set, then drain.

        Raises:
            BusError: what ends the process: an authority violation, a newer log, the guard's halt.
        """
        await self.start()
        stopped = asyncio.ensure_future(stop.wait())
        failures = [
            asyncio.ensure_future(failure)
            for failure in (self.carrier.failed(), self._publisher.failed(), asyncio.shield(self._fatal))
        ]
        try:
            await asyncio.wait([stopped, *failures], return_when=asyncio.FIRST_COMPLETED)
            for failure in failures:
                if failure.done():
                    raise failure.result()
        finally:
            for wait in (stopped, *failures):
                wait.cancel()
            await self.drain(save=stop.is_set())

    # -- deliveries ---------------------------------------------------------------------------------

    async def _on_delivery(self, delivery: Delivery) -> None:
        if self._stopping:
            delivery.nak()
            return
        self._path.note(delivery)
        self._unhandled[delivery] = None
        if self._lease is None or self._lease.done():
            self._lease = asyncio.create_task(self._keep_leases())
        stored = delivery.stored
        nobodys = misaddressed(self.table, self.role.name, self.role.version, stored)
        if nobodys is not None:
            await self._turn_away(delivery, nobodys)
            return
        key = self._key(COMPANY if self._per_company else subjects.mission_of(stored.subject))
        if isinstance(key.error, DecisionChanged | NewerVersion):
            self.give_back(delivery, key.put_off_s)
        elif key.worker is None and self._at_hand(key, stored):
            self._fold(key, stored)
            self._settle(key, delivery)
            await self._yield()
        else:
            key.queue.append(delivery)
            if key.worker is None:
                key.worker = asyncio.create_task(self._work(key))
                key.worker.add_done_callback(self._worker_done)

    async def _turn_away(self, delivery: Delivery, nobodys: Decision) -> None:
        """Put mail that is nobody's with the dead letters; it never has a key."""
        (copy,) = self._dead(nobodys)
        if not (self._is_old(delivery.stored) and await self._past.has_dead(copy)):
            for letter in (*nobodys.letters, copy):
                await publish_surely(self.carrier, letter)
        self.handled(delivery)

    def _key(self, name: str) -> Key:
        key = self._keys.get(name)
        if key is None:
            key = self._keys[name] = Key(self, name)
            self._forget_idle()
        self._keys.move_to_end(name)
        return key

    def _forget_idle(self) -> None:
        for name in list(self._keys)[: max(0, len(self._keys) - _IDLE_KEYS)]:
            if not self._keys[name].busy and self._keys[name].error is None:
                del self._keys[name]

    def _at_hand(self, key: Key, stored: Stored) -> bool:
        """Say whether this mail can be folded without a look at the log."""
        return (
            key.fold is not None
            and key.error is None
            and not key.ahead
            and key.fold.position < stored.seq
            and self.carrier.ordered_reads
            and key.complete_to >= self._path.known_from
            and not self._is_old(stored)
            and subjects.parts_of(stored.subject).kind not in (BURIED, CHECKPOINT)
        )

    def _is_old(self, stored: Stored) -> bool:
        return self.carrier.now_ns() - stored.time_ns > self.settings.old_after_s * 1e9

    async def _work(self, key: Key) -> None:
        if isinstance(key.error, Quarantined):
            await self._look_for_burial(key, key.error)
        while key.queue and key.error is None:
            delivery = key.queue[0]
            await self._catch_up(key, delivery.stored)
            key.queue.popleft()
            self._settle(key, delivery)
            await self._yield()
        for delivery in key.queue:
            self.give_back(delivery, key.put_off_s)
        key.queue.clear()
        key.worker = None

    def _worker_done(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()):
            self._die(error)

    def _settle(self, key: Key, delivery: Delivery) -> None:
        """Ack a folded mail now, or when its letters are in the log."""
        seq = delivery.stored.seq
        if key.error is not None:
            self.give_back(delivery, key.put_off_s)
            return
        entry = next((entry for entry in key.entries if entry.seq >= seq), None)
        if entry is not None and entry.seq == seq:
            entry.deliveries.append(delivery)
        elif key.entries and key.entries[0].seq < seq:
            next(e for e in reversed(key.entries) if e.seq < seq).deliveries.append(delivery)
        else:
            self.handled(delivery)

    async def _yield(self) -> None:
        clock = asyncio.get_running_loop().time
        if clock() >= self._slice_end:
            await asyncio.sleep(0)
            self._slice_end = clock() + _SLICE_S

    # -- catching up --------------------------------------------------------------------------------

    async def _catch_up(self, key: Key, stored: Stored) -> None:
        """Bring a key's fold up to a mail, reading what may be missing from the log."""
        if key.fold is None:
            await self._load(key, stored.seq)
        behind = Behind(MAIL_STREAM, stored.seq)
        while key.error is None and key.fold is not None and key.fold.position < stored.seq:
            if key.ahead and key.ahead[0].seq <= stored.seq:
                await self._fold_read(key, key.ahead.popleft())
            elif (
                not key.ahead
                and self.carrier.ordered_reads
                and key.complete_to >= self._path.known_from
                and key.complete_to < stored.seq
            ):
                await self._fold_read(key, stored)
            else:
                await self._read_ahead(key, behind)
        key.in_log = None

    async def _load(self, key: Key, seq: int) -> None:
        try:
            start = await self._past.start(key.name)
        except NewerVersion as error:
            key.halt(error)
            return
        key.fold = start.fold
        key.complete_to = start.fold.position
        key.checkpoint_at = start.fold.count
        if start.version < self.role.version:
            await self._take_over(key, start, seq)

    async def _take_over(self, key: Key, start: Start, seq: int) -> None:
        try:
            key.earlier = await self._past.predecessor(key.name, self.deaths).take_over(start, seq)
        except (DecisionChanged, NewerVersion) as error:
            key.halt(error)
        except Quarantined as error:
            key.fold = None  # after the burial it is taken over from the start
            killer = await self.carrier.get(MAIL_STREAM, error.seq)
            assert killer is not None
            self._quarantine(key, killer)

    async def _read_ahead(self, key: Key, behind: Behind) -> None:
        """Read on; what is waited for is neither in what was read before, nor was it left out there."""
        if key.ahead:
            key.ahead.clear()
            assert key.fold is not None
            key.complete_to = key.fold.position
            await behind.wait()
        page = await self._past.mail(key.name, key.complete_to + 1)
        if not page:
            await behind.wait()
            return
        key.ahead.extend(page)
        key.complete_to = page[-1].seq

    async def _fold_read(self, key: Key, stored: Stored) -> None:
        if self._is_old(stored) and key.in_log is None:
            key.in_log = await self._past.letters(key.name, stored.seq)
        if key.fold is not None and subjects.parts_of(stored.subject).kind == CHECKPOINT:
            key.fold.announced = await self._past.announced()
        try:
            self._fold(key, stored)
        except BuriedLater:
            await self._begin_anew(key, stored)
        except NewerVersion as error:
            key.halt(error)
        await self._yield()

    async def _begin_anew(self, key: Key, stored: Stored) -> None:
        """Fold from the log again, once what was decided is published: some of it was buried since."""
        while key.entries:
            await asyncio.sleep(0.01)
        key.ahead.clear()
        key.in_log = None
        self._path.forget()
        await self._load(key, stored.seq)

    # -- deciding and publishing --------------------------------------------------------------------

    def _fold(self, key: Key, stored: Stored) -> None:
        assert key.fold is not None
        if kills(self.deaths, self.role.name, key.fold, stored):
            self._quarantine(key, stored)
            return
        if self._per_company and _day(key.fold.now_ns) < _day(stored.time_ns) and key.snapshot is None:
            self._saver.snapshot(key)  # the balance is carried forward from one UTC day to the next
        decision = decide(self.deaths, self.role.name, key.fold, stored)
        key.complete_to = max(key.complete_to, stored.seq)
        letters = self._missing(key, decision)
        entry = Entry(key, stored.seq, len(letters))
        if letters:
            key.entries.append(entry)
        for letter in letters:
            self._publisher.send(letter, entry)
        due = key.fold.count - key.checkpoint_at >= self.settings.checkpoint_every
        if due and key.snapshot is None and key.error is None:
            self._saver.snapshot(key)

    def _missing(self, key: Key, decision: Decision) -> Sequence[Outgoing]:
        """Return what is to be published: for old mail only what the log has not."""
        letters = [*decision.letters, *self._dead(decision)]
        if key.error is not None:
            return ()
        if key.earlier is not None and decision.stored.seq < key.earlier.until:
            try:
                key.earlier.compare(decision)
            except DecisionChanged as error:
                key.halt(error)
                return ()
        if key.in_log is None or not self._is_old(decision.stored):
            return letters
        for letter in letters:
            stored = key.in_log.get(letter.headers["ce-id"])
            if stored is not None and not letter.same_as(stored):
                at, version = decision.stored.seq, version_of(stored)
                key.halt(DecisionChanged(self.role.name, key.name, stored.seq, at, version))
                return ()
        return [letter for letter in letters if letter.headers["ce-id"] not in key.in_log]

    def _dead(self, decision: Decision) -> Sequence[Outgoing]:
        dead, stored = decision.dead, decision.stored
        if dead is None:
            return ()
        log.warning(
            "mail.refused",
            mailbox=self.role.name,
            mission=subjects.mission_of(stored.subject),
            seq=stored.seq,
            reason=dead.reason,
            error=dead.detail,
        )
        return (deadletters.copy_of(self.role.name, stored, dead),)

    def handled(self, delivery: Delivery) -> None:
        self._unhandled.pop(delivery, None)
        self.deaths.forgive(self.role.name, delivery.stored.seq)
        delivery.ack()

    def give_back(self, delivery: Delivery, delay_s: float = 0.0) -> None:
        self._unhandled.pop(delivery, None)
        delivery.nak(delay_s)

    def report_halt(self, key: Key, error: DecisionChanged | NewerVersion) -> None:
        self._reporter.halted(key, error)

    def _quarantine(self, key: Key, stored: Stored) -> None:
        """Stop before a mail that kills whoever decides it; what came before it goes on.

        The guard, whose only key this is, then decides nothing, but lives, and goes on at the burial.
        """
        key.error = error = Quarantined(self.role.name, key.name, stored.seq)
        self._reporter.quarantined(key, error, stored)

    async def _look_for_burial(self, key: Key, error: Quarantined) -> None:
        found = await self._past.burials(key.name)
        if error.seq in found:
            key.error = None
        if error.seq in found and key.fold is not None:
            ahead = {seq: why for seq, why in found.items() if seq > key.fold.position}
            key.fold.buried |= ahead  # what lies behind is noticed at the burial's own place
            key.ahead.clear()  # the mail it stopped at was taken from there
            key.complete_to = key.fold.position
            self._path.forget()

    # -- checkpoints --------------------------------------------------------------------------------

    def save(self, key: Key) -> None:
        self._saver.save(key)

    # -- leases and the end -------------------------------------------------------------------------

    async def _keep_leases(self) -> None:
        while self._unhandled:
            await asyncio.sleep(self.settings.ack_wait_s / 3)
            for delivery in self._unhandled:
                delivery.in_progress()

    def _die(self, error: BaseException) -> None:
        if not self._fatal.done():
            self._fatal.set_result(error)

    async def drain(self, save: bool = True) -> None:
        """Stop pulling, finish what is under way or give it back, leave checkpoints."""
        self._stopping = True
        if self._consumer is not None:
            await self._consumer.stop()
        if self._lease is not None:
            self._lease.cancel()
        try:
            async with asyncio.timeout(self.settings.drain_s):
                if save:
                    await self._finish()
        except TimeoutError:
            log.warning("drain.cut_short", role=self.role.name)
        await self._publisher.stop()
        for task in [
            *self._reporter.tasks,
            *self._saver.tasks,
            *(key.worker for key in self._keys.values() if key.worker),
        ]:
            task.cancel()
        for delivery in list(self._unhandled):
            self.give_back(delivery)

    async def _finish(self) -> None:
        while self._saver.tasks or any(key.busy for key in self._keys.values()):
            workers = [key.worker for key in self._keys.values() if key.worker]
            tasks = [*self._saver.tasks, *workers, *self._publisher.tasks]
            if under_way := [task for task in tasks if not task.done()]:
                await asyncio.wait(under_way, return_when=asyncio.FIRST_COMPLETED)
            else:
                await asyncio.sleep(0.01)  # what has ended tells its key, unless it failed
        await self._saver.save_all(self._keys.values())


def _day(time_ns: int) -> int:
    return time_ns // 86_400_000_000_000
