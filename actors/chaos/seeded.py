"""One seeded run of the whole company, and what must hold after it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache, partial

from actors.chaos.ceo import Said
from actors.chaos.clockwork import run as run_on_virtual_time
from actors.chaos.constants import WINDOW_S
from actors.chaos.faults import CALM, PROFILES, Odds
from actors.chaos.shown import Ending, Failed
from actors.chaos.simulation import Next, Simulation, begin, unchanged
from actors.chaos.whole import blob_in, whole_in
from actors.performers.proofs import PERFORMERS
from actors.table import HALTS, TABLE
from bus.envelope import Stored
from bus.verify import Report, verify

_LATE = "is closed: everything of it is booked"
"""What the guard says of a bill that comes when the worst case of its hold is booked and the mission over."""


def simulate(
    seed: int,
    odds: Odds | None = None,
    replicas: int = 1,
    crash: tuple[str, int] | None = None,
    upgrade: Next = unchanged,
    words: Sequence[Said] = (),
) -> Ending:
    """Play the reference mission under a seed and check what must hold.

    Raises:
        Failed: it does not hold; the same seed shows it again.
    """
    begin(seed)
    simulation = Simulation(seed, odds or PROFILES[seed % len(PROFILES)], crash, upgrade, words)
    run_on_virtual_time(simulation.play(replicas))
    ending = simulation.ending()
    _check_letters(simulation)
    _check_log(simulation)
    check_ending(ending, calm())
    return ending


@cache
def calm() -> Ending:
    """What the mission comes to when nothing goes wrong."""
    simulation = Simulation(0, CALM)
    run_on_virtual_time(simulation.play(1))
    return simulation.ending()


def check_ending(ending: Ending, calm: Ending) -> None:
    if ending.by_the_ceo and not ending.deliverable:
        return
    if (ending.state, ending.deliverable) != (calm.state, calm.deliverable):
        raise Failed(f"ended as {ending.state} with {sorted(ending.deliverable)}, not as {calm.state}")
    if ending.settled_microusd != calm.settled_microusd:
        raise Failed(f"settled {ending.settled_microusd}, a calm run {calm.settled_microusd}")


def verified(simulation: Simulation) -> Report:
    """Fold a simulation's log again."""
    server = simulation.server
    return verify(
        server.stream("COO").messages,
        TABLE,
        simulation.newest,
        partial(blob_in, server),
        PERFORMERS,
        server.stream("COO_DLQ").messages,
        HALTS,
        partial(whole_in, server),
    )


def _check_log(simulation: Simulation) -> None:
    """Every letter is what the code decides, every checkpoint the fold it claims."""
    report = verified(simulation)
    for finding in report.findings:
        if finding.seq not in simulation.bad_bills:
            raise Failed(f"not explained: {finding}")
    if report.dead:
        raise Failed(f"a dead letter is none: {report.dead[0]}")


def _check_letters(simulation: Simulation) -> None:
    """Each letter is in the log once; none of ours is in the dead letters.

    A process stopped past the duplicate window between its read and its publish may write a copy; every
    fold skips it.
    """
    messages = simulation.server.stream("COO").messages
    first: dict[tuple[str, str], Stored] = {}
    for stored in messages:
        before = first.setdefault((stored.subject, stored.headers["ce-id"]), stored)
        if before is not stored and stored.time_ns - before.time_ns < WINDOW_S * 1e9:
            raise Failed(f"in the log twice within the window: {before.seq} and {stored.seq}")
    dead = simulation.server.stream("COO_DLQ").messages
    for stored in dead:
        late = simulation.ceo is not None and _LATE in stored.headers.get("coo-dlq-error", "")
        if int(stored.headers["coo-dlq-seq"]) not in simulation.bad_bills and not late:
            raise Failed(f"a dead letter: {stored.headers.get('coo-dlq-error')}")
    if len({stored.headers.get("coo-dlq-seq") for stored in dead}) < len(simulation.bad_bills):
        raise Failed(f"{len(simulation.bad_bills)} bad bills, {len(dead)} dead letters")
