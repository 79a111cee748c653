"""One key of a role: its fold in this process, brought up to what is delivered, and what is under way for it.

A key is a mission, or the company.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import Any

from bus import subjects
from bus.complaints import Decision
from bus.dataref import is_dataref
from bus.envelope import Outgoing, Stored, version_of
from bus.errors import BuriedLater, BusError, DecisionChanged, NewerVersion, Quarantined
from bus.fold import Fold
from bus.loops.checkpoints import Start
from bus.loops.means import Means
from bus.loops.poison import decide, kills
from bus.loops.versions import Earlier
from bus.ports import Behind, Delivery
from bus.subjects import MAIL_STREAM
from bus.table import BURIED, CHECKPOINT

NEWER_NAK_S = 1.0

HALTED_NAK_S = 60.0
"""How long mail of a halted key is put off: nobody can decide it until a person looked."""


class Folded:
    """A folded mail whose letters are not all in the log yet."""

    def __init__(self, key: Key, seq: int, letters: int) -> None:
        self.key = key
        self.seq = seq
        self.remaining = letters
        self.deliveries: list[Delivery] = []

    def is_wanted(self) -> bool:
        return not self.key.is_halted

    def published(self) -> None:
        self.remaining -= 1
        if self.remaining == 0:
            self.key.advance()

    def halted(self, error: DecisionChanged) -> None:
        self.key.halt(error)


class Key:
    """One key's fold in this process, and what is under way for it."""

    def __init__(self, means: Means, name: str) -> None:
        self.means = means
        self.name = name
        self.fold: Fold[Any] | None = None
        self.complete_to = 0
        self.ahead: deque[Stored] = deque()
        self.entries: deque[Folded] = deque()
        self.queue: deque[Delivery] = deque()
        self.worker: asyncio.Task[None] | None = None
        self.error: BusError | None = None
        self.in_log: dict[str, Stored] | None = None
        self.earlier: Earlier | None = None
        self.checkpoint_at = 0
        self.snapshot: tuple[int, bytes] | None = None
        self.saved_bytes = 0

    @property
    def busy(self) -> bool:
        return bool(self.worker or self.entries or self.queue or self.snapshot)

    @property
    def is_halted(self) -> bool:
        """Whether nothing more is published for it: the log disagrees, or a later version has it."""
        return isinstance(self.error, DecisionChanged | NewerVersion)

    @property
    def put_off_s(self) -> float:
        """How long its mail is put off: a process of a later version beside this one takes it at once."""
        return NEWER_NAK_S if isinstance(self.error, NewerVersion) else HALTED_NAK_S

    # -- deliveries ---------------------------------------------------------------------------------

    def is_at_hand(self, stored: Stored) -> bool:
        """Say whether a mail can be folded without a look at the log."""
        return (
            self.fold is not None
            and self.error is None
            and not self.ahead
            and self.fold.position < stored.seq
            and self.means.carrier.ordered_reads
            and self.complete_to >= self.means.path.known_from
            and not self.means.is_old(stored)
            and not is_dataref(stored.body)
            and subjects.parts_of(stored.subject).kind not in (BURIED, CHECKPOINT)
        )

    async def work(self) -> None:
        """Decide what is queued, in its order."""
        if isinstance(self.error, Quarantined):
            await self._look_for_burial(self.error)
        while self.queue and self.error is None:
            delivery = self.queue[0]
            await self.catch_up(delivery.stored)
            self.queue.popleft()
            self.settle(delivery)
            await self.means.let_others_run()
        for delivery in self.queue:
            self.means.deliveries.give_back(delivery, self.put_off_s)
        self.queue.clear()
        self.worker = None

    def settle(self, delivery: Delivery) -> None:
        """Ack a folded mail now, or when its letters are in the log."""
        seq = delivery.stored.seq
        if self.error is not None:
            self.means.deliveries.give_back(delivery, self.put_off_s)
            return
        entry = next((entry for entry in self.entries if entry.seq >= seq), None)
        if entry is not None and entry.seq == seq:
            entry.deliveries.append(delivery)
        elif self.entries and self.entries[0].seq < seq:
            next(e for e in reversed(self.entries) if e.seq < seq).deliveries.append(delivery)
        else:
            self.means.deliveries.handled(delivery)

    def advance(self) -> None:
        """Ack every mail whose letters, and those of all mail before it, are in the log."""
        while self.entries and self.entries[0].remaining == 0:
            for delivery in self.entries.popleft().deliveries:
                self.means.deliveries.handled(delivery)
        if self.snapshot and (not self.entries or self.entries[0].seq > self.snapshot[0]):
            self.means.saver.save(self)

    # -- catching up --------------------------------------------------------------------------------

    async def catch_up(self, stored: Stored) -> None:
        """Bring the fold up to a mail, reading what may be missing from the log."""
        if self.fold is None:
            await self._load(stored.seq)
        behind = Behind(MAIL_STREAM, stored.seq)
        while self.error is None and self.fold is not None and self.fold.position < stored.seq:
            if self.ahead and self.ahead[0].seq <= stored.seq:
                await self._fold_read(self.ahead.popleft())
            elif (
                not self.ahead
                and self.means.carrier.ordered_reads
                and self.complete_to >= self.means.path.known_from
                and self.complete_to < stored.seq
            ):
                await self._fold_read(await self.means.past.whole(stored))
            else:
                await self._read_ahead(behind)
        self.in_log = None

    async def _load(self, seq: int) -> None:
        try:
            start = await self.means.past.start(self.name)
        except NewerVersion as error:
            self.halt(error)
            return
        self.fold = start.fold
        if start.version < self.means.role.version:
            await self._take_over(start, seq)
        self.complete_to = start.fold.position
        self.checkpoint_at = start.fold.count

    async def _take_over(self, start: Start, seq: int) -> None:
        past, deaths = self.means.past, self.means.deaths
        try:
            self.earlier = await past.predecessor(self.name, deaths).take_over(start, seq)
        except (DecisionChanged, NewerVersion) as error:
            self.halt(error)
        except Quarantined as error:
            self.fold = None  # after the burial it is taken over from the start
            killer = await self.means.carrier.get(MAIL_STREAM, error.seq)
            assert killer is not None
            self._quarantine(killer)

    async def _read_ahead(self, behind: Behind) -> None:
        """Read on; what is waited for is neither in what was read before, nor was it left out there."""
        if self.ahead:
            self.ahead.clear()
            assert self.fold is not None
            self.complete_to = self.fold.position
            await behind.wait()
        page = await self.means.past.mail(self.name, self.complete_to + 1)
        if not page:
            await behind.wait()
            return
        self.ahead.extend(page)
        self.complete_to = page[-1].seq

    async def _fold_read(self, stored: Stored) -> None:
        if self.means.is_old(stored) and self.in_log is None:
            self.in_log = await self.means.past.letters(self.name, stored.seq)
        if self.fold is not None and subjects.parts_of(stored.subject).kind == CHECKPOINT:
            self.fold.announced = await self.means.past.announced()
        try:
            self.decide(stored)
        except BuriedLater:
            await self._begin_anew(stored)
        except NewerVersion as error:
            self.halt(error)
        await self.means.let_others_run()

    async def _begin_anew(self, stored: Stored) -> None:
        """Fold from the log again, once what was decided is published: some of it was buried since."""
        while self.entries:
            await asyncio.sleep(0.01)
        self.ahead.clear()
        self.in_log = None
        self.means.path.forget()
        await self._load(stored.seq)

    # -- deciding and publishing --------------------------------------------------------------------

    def decide(self, stored: Stored) -> None:
        """Fold the next mail, and publish the letters that it leads to."""
        assert self.fold is not None
        means = self.means
        if kills(means.deaths, means.role.name, self.fold, stored):
            self._quarantine(stored)
            return
        if means.per_company and _day(self.fold.now_ns) < _day(stored.time_ns) and self.snapshot is None:
            means.saver.snapshot(self)  # the balance is carried forward from one UTC day to the next
        decision = decide(means.deaths, means.role.name, self.fold, stored)
        self.complete_to = max(self.complete_to, stored.seq)
        letters = self._missing(decision)
        entry = Folded(self, stored.seq, len(letters))
        if letters:
            self.entries.append(entry)
        for letter in letters:
            means.publisher.send(letter, entry)
        if self.error is None and means.saver.is_due(self, means.settings.checkpoint_every):
            means.saver.snapshot(self)

    def _missing(self, decision: Decision) -> Sequence[Outgoing]:
        """Return what is to be published: for old mail only what the log has not."""
        letters = [*decision.letters, *self.means.dead_letters(decision)]
        if self.error is not None:
            return ()
        if self.earlier is not None and decision.stored.seq < self.earlier.until:
            try:
                self.earlier.compare(decision)
            except DecisionChanged as error:
                self.halt(error)
                return ()
        if self.in_log is None or not self.means.is_old(decision.stored):
            return letters
        for letter in letters:
            stored = self.in_log.get(letter.headers["ce-id"])
            if stored is not None and not letter.same_as(stored):
                at, version = decision.stored.seq, version_of(stored)
                self.halt(DecisionChanged(self.means.role.name, self.name, stored.seq, at, version))
                return ()
        return [letter for letter in letters if letter.headers["ce-id"] not in self.in_log]

    def halt(self, error: DecisionChanged | NewerVersion) -> None:
        """Publish nothing more for this key: the log and this code disagree, or a later version has it."""
        if self.error is not None:
            return
        self.error = error
        self.means.reporter.halted(self, error)
        for entry in self.entries:
            for delivery in entry.deliveries:
                self.means.deliveries.give_back(delivery, self.put_off_s)
        self.entries.clear()
        self.snapshot = None

    def _quarantine(self, stored: Stored) -> None:
        """Stop before a mail that kills whoever decides it; what came before it goes on.

        The guard, whose only key this is, then decides nothing, but lives, and goes on at the burial.
        """
        self.error = error = Quarantined(self.means.role.name, self.name, stored.seq)
        self.means.reporter.quarantined(self, error, stored)

    async def _look_for_burial(self, error: Quarantined) -> None:
        found = await self.means.past.burials(self.name)
        if error.seq in found:
            self.error = None
        if error.seq in found and self.fold is not None:
            ahead = {seq: why for seq, why in found.items() if seq > self.fold.position}
            self.fold.buried |= ahead  # what lies behind is noticed at the burial's own place
            self.ahead.clear()  # the mail it stopped at was taken from there
            self.complete_to = self.fold.position
            self.means.path.forget()


def _day(time_ns: int) -> int:
    return time_ns // 86_400_000_000_000
