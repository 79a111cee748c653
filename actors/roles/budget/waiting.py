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
from actors.days import SECOND_NS
from actors.roles.budget.billing import MOST_ATTEMPTS
from actors.roles.budget.fitting import (
    LONGEST_S,
    Limit,
    company_left,
    company_room,
    least,
    limits_on,
    mission_left,
    refusal,
)
from actors.roles.budget.ledger import Hold, Ledger, Waiting, book, period
from bus.envelope import Letter, Mail

MOST_OF_MISSION = 100
"""So many reserves of one mission wait at once; a mission at work has a handful under way."""

MOST_OF_SENDER = 1_000
"""So many reserves of one mailbox wait at once, in all missions."""

_NEVER = 2**63

_OF_COMPANY = frozenset({"day", "month"})


def reserve(ledger: Ledger, mail: Mail, order: m.Reserve) -> tuple[Waiting | None, list[Letter]]:
    """Answer a reserve at once if it was answered before; else return it as one that may have to wait."""
    mission = ledger.missions.get(mail.mission)
    known = mission.hold(order.attempt) if mission else None
    asked = None if known else find(ledger, mail.mission, order.attempt)
    if known is None and asked is None:
        if mission is not None and len(mission.open) + len(mission.over) >= MOST_ATTEMPTS:
            return None, [_refused(mail.sender, order, "too_many_attempts")]
        until_ns = mail.now_ns + min(max(0, order.wait_s), LONGEST_S) * SECOND_NS
        return Waiting(mission=mail.mission, by=mail.sender, order=order, until_ns=until_ns), []
    by, before = (known.by, known.asked) if known else (asked.by, asked.order) if asked else ("", None)
    if by != mail.sender or before != order:
        return None, [_refused(mail.sender, order, "id_conflict")]
    return None, [Letter(to=mail.sender, message=_answer(order, known))] if known else []


def find(ledger: Ledger, mission: str, attempt: str) -> Waiting | None:
    """Return the reserve that waits under this name, if one does."""
    standing = _standing(ledger)
    lane = standing.lanes.get(mission) if standing else None
    among = ledger.waiting if standing is None else lane.waiting if lane else []
    return next((w for w in among if w.order.attempt == attempt and w.mission == mission), None)


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
    """Those that wait, by mission and by what they wait for, as they are looked at one by one.

    `until_ns` is the earliest deadline, `needed_most` the greatest need. Of those that wait for day or month
    `needed_least` is the smallest need, and `ahead` what stands before the first of them.
    """

    ledger: Ledger
    now_ns: int
    kept: tuple[Waiting, ...] | None = None
    day: str = ""
    room: int = 0
    claimed: int = 0
    until_ns: int = _NEVER
    needed_most: int = 0
    needed_least: int = _NEVER
    ahead: int = 0
    senders: dict[str, int] = field(default_factory=dict)
    lanes: dict[str, _Lane] = field(default_factory=dict)
    letters: list[Letter] = field(default_factory=list)

    def begin(self, ledger: Ledger, now_ns: int) -> None:
        """Go on with the ledger as it is by now; until `end` the queue is nobody's."""
        self.ledger, self.now_ns, self.kept, self.letters = ledger, now_ns, None, []
        self.day, self.room = period(now_ns)[0], company_room(ledger, now_ns)

    def end(self, kept: tuple[Waiting, ...]) -> tuple[Ledger, list[Letter]]:
        self.kept = kept
        return replace(self.ledger, waiting=kept), self.letters

    def keep(self, waiting: Waiting) -> None:
        lane, needed = self.lanes.get(waiting.mission), least(waiting.order)
        if lane is None:
            lane = self.lanes[waiting.mission] = _Lane(max(0, mission_left(self.ledger, waiting.mission)))
        if waiting.blocked_by in _OF_COMPANY:
            self.ahead = self.claimed if self.needed_least == _NEVER else self.ahead
            self.needed_least = min(self.needed_least, needed)
        self.claimed -= lane.claimed
        lane.needs += needed
        lane.waiting.append(waiting)
        self.claimed += lane.claimed
        self.senders[waiting.by] = self.senders.get(waiting.by, 0) + 1
        self.until_ns = min(self.until_ns, waiting.until_ns)
        self.needed_most = max(self.needed_most, needed)

    def stands_still(self, before: Ledger, ledger: Ledger, mail: Mail) -> bool:
        """Say whether this mail can have changed nothing for any of those that wait."""
        if before.limits is not ledger.limits or self.day != period(mail.now_ns)[0]:
            return False
        if mail.mission in self.lanes and not isinstance(mail.message, m.Reserve | m.Sent):
            return False
        left, room = company_left(ledger, mail.now_ns), company_room(ledger, mail.now_ns)
        due = self.until_ns <= mail.now_ns or self.needed_most > left
        return not due and self.needed_least > room - self.ahead

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
        lane = self.lanes.get(waiting.mission)
        of_mission, of_sender = len(lane.waiting) if lane else 0, self.senders.get(waiting.by, 0)
        if waiting.blocked_by or (of_mission < MOST_OF_MISSION and of_sender < MOST_OF_SENDER):
            return None
        needed = least(waiting.order)
        return m.Refusal(scope="too_many_waiting", needed_microusd=needed, remaining_microusd=0)


_last: list[_Queue] = []
"""The queue as it was left last: it follows from the ledger alone, and making it anew takes long."""


def _standing(ledger: Ledger) -> _Queue | None:
    """Return the queue of a ledger, if it is the one that was left last."""
    return _last[0] if _last and _last[0].kept is ledger.waiting else None


def serve(
    before: Ledger, expired: Ledger, ledger: Ledger, mail: Mail, fresh: Waiting | None
) -> tuple[Ledger, list[Letter]]:
    """Go through those that wait, in order: grant what fits, refuse what cannot or waited too long.

    `before` is the ledger before this mail, `expired` with the holds resolved whose time is over by it.
    `fresh` has come with it.
    """
    standing = _standing(ledger)
    if standing is not None and expired is before and standing.stands_still(before, ledger, mail):
        if fresh is None:
            return ledger, []
        standing.begin(ledger, mail.now_ns)
        kept = standing.look(fresh)
        return standing.end(ledger.waiting if kept is None else (*ledger.waiting, kept))
    if not ledger.waiting and fresh is None:
        return ledger, []
    queue = _Queue(ledger, mail.now_ns)
    queue.begin(ledger, mail.now_ns)
    all_of_them = ledger.waiting if fresh is None else (*ledger.waiting, fresh)
    moved, gone_on = _moved(before, ledger, mail, all_of_them), list[Waiting]()
    for waiting in all_of_them:
        looked_at = waiting.mission in moved
        if not looked_at and waiting.blocked_by in _OF_COMPANY:
            looked_at = least(waiting.order) <= queue.room - queue.claimed
        if not looked_at:
            queue.keep(waiting)
            gone_on.append(waiting)
        elif (kept := queue.look(waiting)) is not None:
            gone_on.append(kept)
    _last[:] = [queue]
    return queue.end(tuple(gone_on))


def _moved(before: Ledger, ledger: Ledger, mail: Mail, waiting: tuple[Waiting, ...]) -> set[str]:
    """Return the missions of which something was decided, is due, or fits no more beside what is posted."""
    names, now_ns = {w.mission for w in waiting}, mail.now_ns
    if before.limits is not ledger.limits:
        return names
    left = company_left(ledger, now_ns)
    moved = {w.mission for w in waiting if not w.blocked_by or w.until_ns <= now_ns or least(w.order) > left}
    moved |= {name for name in names if before.missions.get(name) is not ledger.missions.get(name)}
    return {*moved, mail.mission}


def earliest_ns(ledger: Ledger) -> int:
    """Return when the first of those that wait has waited long enough; far in the future if none does."""
    standing = _standing(ledger)
    if standing is not None:
        return standing.until_ns
    return min((waiting.until_ns for waiting in ledger.waiting), default=_NEVER)
