"""Slots: how many missions are worked on at once, and which of those that wait is next. Pure.

A mission without a slot keeps its account: what was held for it is settled as ever, only nothing new is
granted. Of those that wait the one with the greatest priority is next, then the one that has waited longest.
"""

from __future__ import annotations

from msgspec.structs import replace

from actors import messages as m
from actors.roles.budget.ledger import Ledger, MissionAccount
from bus.envelope import Letter


def ask(ledger: Ledger, name: str, order: m.Open) -> tuple[Ledger, list[Letter]]:
    """Open a mission's account, and put it behind those that wait for a slot unless it has one."""
    if name in ledger.closed:
        return ledger, [Letter(to="coo", message=m.Opened())]
    mission = ledger.missions.get(name) or MissionAccount(cap=0, slot=False)
    if mission.terms is None and not mission.slot:  # new, or billed before it was opened
        mission = replace(mission, cap=max(0, order.cap_microusd), terms=order)
        ledger = ledger.mission(name, mission)
    if mission.slot:
        return ledger, [Letter(to="coo", message=m.Opened())]
    if name in ledger.queue or mission.closing:
        return ledger, []
    ledger = replace(ledger, queue=(*ledger.queue, name))
    slots = _slots(ledger)
    if slots is None or _free(ledger, slots) > 0:
        return ledger, []  # it is served with this mail
    return ledger, [Letter(to="coo", message=m.Queued(slots=slots))]


def park(ledger: Ledger, name: str) -> Ledger:
    """Take a mission's slot back until it is opened again; one that waits leaves the queue."""
    ledger = leave(ledger, name)
    mission = ledger.missions.get(name)
    return ledger if mission is None else ledger.mission(name, replace(mission, slot=False))


def leave(ledger: Ledger, name: str) -> Ledger:
    return replace(ledger, queue=tuple(other for other in ledger.queue if other != name))


def serve(ledger: Ledger) -> tuple[Ledger, list[Letter]]:
    """Give every free slot to whoever is next."""
    letters: list[Letter] = []
    if not ledger.queue:
        return ledger, letters
    slots = _slots(ledger)
    free = len(ledger.queue) if slots is None else _free(ledger, slots)
    for name in sorted(ledger.queue, key=lambda name: -_priority(ledger, name))[: max(0, free)]:
        ledger = leave(ledger.mission(name, replace(ledger.missions[name], slot=True)), name)
        letters.append(Letter(to="coo", mission=name, message=m.Opened()))
    return ledger, letters


def _slots(ledger: Ledger) -> int | None:
    """Return how many slots there are; None: as many as are asked for."""
    return ledger.limits.slots if ledger.limits else None


def _free(ledger: Ledger, slots: int) -> int:
    return slots - sum(1 for one in ledger.missions.values() if one.slot and not one.closing)


def _priority(ledger: Ledger, name: str) -> int:
    terms = ledger.missions[name].terms
    return terms.priority if terms else 0
