"""Reserves that wait for money: in order at every limit, bounded, looked at when something moved. Pure.

A reserve is granted when it fits at each of its limits beside what is posted, what is held, and what those
before it wait for. One that waits notes the limit that it waits for, and is looked at again when its mission
has moved, or its day and month have room for it. All that wait in one mission count at day and month for no
more than the mission may still spend, so none of them keeps more from the others than it could ever hold.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from msgspec.structs import replace

from actors import messages as m
from actors.billing import MOST_ATTEMPTS
from actors.fitting import (
    LONGEST_S,
    Limit,
    company_left,
    company_room,
    least,
    limits_on,
    mission_left,
    refusal,
)
from actors.ledger import SECOND_NS, Hold, Ledger, Waiting, book, period
from bus.envelope import Letter, Mail

MOST_OF_MISSION = 100
"""So many reserves of one mission wait at once; a mission at work has a handful under way."""

MOST_OF_SENDER = 1_000
"""So many reserves of one mailbox wait at once, in all missions."""

_OF_COMPANY = frozenset({"day", "month"})


def reserve(ledger: Ledger, mail: Mail, order: m.Reserve) -> tuple[Ledger, list[Letter]]:
    """Answer a reserve at once if it is settled what to say; else put it behind those that wait."""
    mission = ledger.missions.get(mail.mission)
    known = mission.hold(order.attempt) if mission else None
    same = [w for w in ledger.waiting if w.order.attempt == order.attempt and w.mission == mail.mission]
    if known is None and not same:
        if mission is not None and len(mission.open) + len(mission.over) >= MOST_ATTEMPTS:
            return ledger, [_refused(mail.sender, order, "too_many_attempts")]
        until_ns = mail.now_ns + min(max(0, order.wait_s), LONGEST_S) * SECOND_NS
        waiting = Waiting(mission=mail.mission, by=mail.sender, order=order, until_ns=until_ns)
        return replace(ledger, waiting=(*ledger.waiting, waiting)), []
    by, before = (known.by, known.asked) if known else (same[0].by, same[0].order)
    if by != mail.sender or before != order:
        return ledger, [_refused(mail.sender, order, "id_conflict")]
    return ledger, [Letter(to=mail.sender, message=_answer(order, known))] if known else []


def _refused(to: str, order: m.Reserve, scope: str) -> Letter:
    why = m.Refusal(scope=scope, needed_microusd=order.microusd, remaining_microusd=0)
    return Letter(to=to, message=m.Refused(attempt=order.attempt, refusal=why))


def _answer(order: m.Reserve, hold: Hold) -> m.Granted | m.Refused:
    if hold.refusal is not None:
        return m.Refused(attempt=order.attempt, refusal=hold.refusal)
    return m.Granted(
        attempt=order.attempt,
        microusd=hold.held,
        expires_ns=hold.expires_ns,
        limited_by=hold.limited_by,
    )


@dataclass
class _Lane:
    """Those of one mission that go on waiting, and what of their needs counts at day and month."""

    most: int
    needs: int = 0
    waiting: list[Waiting] = field(default_factory=list)

    @property
    def claimed(self) -> int:
        return min(self.needs, self.most)


@dataclass
class _Queue:
    """One pass through those that wait: the ledger as it is by now, and those that go on waiting."""

    ledger: Ledger
    now_ns: int
    room: int = 0
    claimed: int = 0
    lanes: dict[str, _Lane] = field(default_factory=dict)
    letters: list[Letter] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.room = company_room(self.ledger, self.now_ns)

    def keep(self, waiting: Waiting) -> None:
        lane = self.lanes.get(waiting.mission)
        if lane is None:
            most = max(0, mission_left(self.ledger, waiting.mission))
            lane = self.lanes[waiting.mission] = _Lane(most)
        self.claimed -= lane.claimed
        lane.needs += least(waiting.order)
        lane.waiting.append(waiting)
        self.claimed += lane.claimed

    def look(self, waiting: Waiting) -> Waiting | None:
        """Decide one that waits, and return it while it goes on waiting."""
        hold = self._decide(waiting)
        if isinstance(hold, Waiting):
            self.keep(hold)
            return hold
        name, attempt = waiting.mission, waiting.order.attempt
        if name in self.ledger.missions:
            self.ledger = book(self.ledger, name, attempt, hold)
            self.room = company_room(self.ledger, self.now_ns)
        self.letters.append(Letter(to=waiting.by, mission=name, message=_answer(waiting.order, hold)))
        return None

    def _decide(self, waiting: Waiting) -> Hold | Waiting:
        order, (day, month) = waiting.order, period(self.now_ns)
        hold = Hold(by=waiting.by, microusd=0, day=day, month=month, expires_ns=0, asked=order)
        refused = refusal(self.ledger, waiting, self.now_ns)
        if refused is None:
            free, limit = self._free(waiting)
            if free >= least(order):
                granted = min(order.microusd, free)
                return replace(
                    hold,
                    microusd=granted,
                    held=granted,
                    tokens=order.tokens,
                    limited_by=limit.scope if granted < order.microusd else "",
                    expires_ns=self.now_ns + order.timeout_s * SECOND_NS,
                )
            if self.now_ns < waiting.until_ns and not (refused := self._crowded(waiting)):
                return replace(waiting, blocked_by=limit.scope)
            account = limit.account
            refused = refused or limit.refusal(limit.limit - account.posted - account.pending)
        return replace(hold, status="refused", refusal=refused)

    def _free(self, waiting: Waiting) -> tuple[int, Limit]:
        """Return how much money can be granted now, and which limit says so: a mission's own first."""
        order, lane = waiting.order, self.lanes.get(waiting.mission)
        rooms = []
        for one in limits_on(self.ledger, waiting, self.now_ns):
            free = one.limit - one.account.posted - one.account.pending
            if one.in_tokens:
                ahead = sum(w.order.tokens for w in lane.waiting if w.by == waiting.by) if lane else 0
                free = order.microusd if free - ahead >= one.needed else -1
            elif one.scope in _OF_COMPANY:
                free -= self.claimed
            else:
                free -= lane.needs if lane else 0
            rooms.append((free, one))
        short = [found for found in rooms if found[0] < least(order) and found[1].scope not in _OF_COMPANY]
        return short[0] if short else min(rooms, key=lambda found: (found[0], found[1].scope))

    def _crowded(self, waiting: Waiting) -> m.Refusal | None:
        """Refuse to let one wait that has just come, where too many wait already."""
        if waiting.blocked_by:
            return None
        of_mission = [w for w in self.ledger.waiting if w.mission == waiting.mission]
        of_sender = [w for w in self.ledger.waiting if w.by == waiting.by]
        if len(of_mission) <= MOST_OF_MISSION and len(of_sender) <= MOST_OF_SENDER:
            return None
        needed = least(waiting.order)
        return m.Refusal(scope="too_many_waiting", needed_microusd=needed, remaining_microusd=0)


def serve(before: Ledger, ledger: Ledger, mail: Mail) -> tuple[Ledger, list[Letter]]:
    """Go through those that wait in order: grant what fits, refuse what cannot or waited too long.

    `before` is the ledger before this mail: a mission that it did not move is not looked at again.
    """
    if not ledger.waiting:
        return ledger, []
    queue, moved, kept = _Queue(ledger, mail.now_ns), _moved(before, ledger, mail), list[Waiting]()
    tight = _is_tight(ledger, queue.room)
    if not tight:
        moved |= {w.mission for w in ledger.waiting if w.blocked_by in _OF_COMPANY}
    for waiting in ledger.waiting:
        looked_at = waiting.mission in moved
        if tight and not looked_at and waiting.blocked_by in _OF_COMPANY:
            looked_at = least(waiting.order) <= queue.room - queue.claimed
        if looked_at:
            went_on = queue.look(waiting)
            if went_on is not None:
                kept.append(went_on)
            continue
        if tight:
            queue.keep(waiting)
        kept.append(waiting)
    return replace(queue.ledger, waiting=tuple(kept)), queue.letters


def _is_tight(ledger: Ledger, room: int) -> bool:
    """Say whether day or month may have no room for all that wait; if not, they are in nobody's way."""
    asked = [waiting.order.microusd for waiting in ledger.waiting]
    return sum(asked) + max(asked) > room


def _moved(before: Ledger, ledger: Ledger, mail: Mail) -> set[str]:
    """Return the missions of which something was decided, is due, or fits no more beside what is posted."""
    waiting, now_ns = ledger.waiting, mail.now_ns
    if before.limits is not ledger.limits:
        return {w.mission for w in waiting}
    left = company_left(ledger, now_ns)
    moved = {
        w.mission
        for w in waiting
        if not w.blocked_by or w.until_ns <= now_ns or (w.order.floor or w.order.microusd) > left
    }
    names = {w.mission for w in waiting}
    moved |= {name for name in names if before.missions.get(name) is not ledger.missions.get(name)}
    return {*moved, mail.mission}
