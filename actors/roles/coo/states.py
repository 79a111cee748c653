"""The life of a mission as data: what leads from which state to which, and what is owed there.

A mission has a stage, and is paused on top of it: what arrives meanwhile moves the stage all the same, and
what it would have started is owed until the mission goes on. Guards decide which event a message is; nothing
is changed past these tables. The pictures in the documentation and in the COO's own file are made of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, TypeVar, get_args

from actors import messages as m

Stage = Literal["none", "opening", "planning", "executing", "reviewing", "releasing", "finishing", "over"]
Pause = Literal["", "paused_budget", "paused_error", "paused_manual"]
Final = Literal["", "completed", "failed", "cancelled"]
Owed = Literal["open", "call", "task", "review", "request", "close"]

S = TypeVar("S", bound=str)
R = TypeVar("R")

LIVE: tuple[Stage, ...] = ("opening", "planning", "executing", "reviewing", "releasing", "finishing")

STATE_OF: dict[Stage, m.State] = {
    "opening": "created",
    "planning": "planning",
    "executing": "executing",
    "reviewing": "reviewing",
    "releasing": "paused_approval",
    "finishing": "reviewing",
}
"""What the CEO is told of a stage."""

MOVES: dict[tuple[Stage, str], tuple[Stage, Owed]] = {
    ("none", "a mission"): ("opening", "open"),
    ("opening", "its account is open"): ("planning", "call"),
    ("planning", "the call was dropped or refused"): ("planning", "call"),
    ("planning", "an unreadable plan"): ("planning", "call"),
    ("planning", "a plan"): ("executing", "task"),
    ("executing", "the acceptance command passed"): ("reviewing", "review"),
    ("executing", "the plan cannot be carried out"): ("planning", "call"),
    ("reviewing", "the plan cannot be carried out"): ("planning", "call"),
    ("reviewing", "rejected, with findings"): ("executing", "task"),
    ("reviewing", "approved, but not what was handed in"): ("reviewing", "review"),
    ("reviewing", "approved, next task"): ("executing", "task"),
    ("reviewing", "approved, a release is asked for"): ("releasing", "request"),
    ("reviewing", "approved, last task"): ("finishing", "close"),
    ("releasing", "released by the CEO"): ("finishing", "close"),
}
"""How work goes on: to which stage, and what is sent there as soon as the mission is not paused."""

PAUSES: dict[tuple[Pause, str], Pause] = {
    ("", "the CEO pauses it"): "paused_manual",
    ("", "too many messages"): "paused_error",
    ("", "a bill froze it"): "paused_budget",
    ("paused_budget", "a bill froze it"): "paused_budget",
    ("paused_budget", "the cap is raised"): "",
    ("paused_budget", "a new day or month"): "",
    **{(pause, "no money"): "paused_budget" for pause in get_args(Pause)},
    **{(pause, "stuck"): "paused_error" for pause in get_args(Pause)},
    **{(pause, "sent back too often"): "paused_error" for pause in get_args(Pause)},
    **{(pause, "an error"): "paused_error" for pause in get_args(Pause) if pause != "paused_error"},
    **{(pause, "the CEO resumes it"): "" for pause in get_args(Pause) if pause},
}
"""What pauses a mission, or lets it go on, by how it is paused."""

ENDS: dict[tuple[Stage, str], Final] = {
    ("planning", "no usable plan"): "failed",
    ("executing", "the task failed"): "failed",
    ("reviewing", "the task failed"): "failed",
    ("releasing", "not released by the CEO"): "failed",
    ("finishing", "its end is told"): "completed",
    **{(stage, "the CEO cancels it"): "cancelled" for stage in LIVE},
    **{(stage, "its deadline"): "failed" for stage in LIVE},
    **{(stage, "nobody resumed it"): "failed" for stage in LIVE},
    **{(stage, "too many messages"): "failed" for stage in LIVE},
}
"""What ends a mission, paused or not."""


class Illegal(ValueError):
    """No such thing can happen to a mission in this state."""


def moved(stage: Stage, event: str) -> Stage:
    """Return the stage that an event leads to.

    Raises:
        Illegal: none; nothing is changed.
    """
    return _row(MOVES, stage, event)[0]


def paused(pause: Pause, event: str) -> Pause:
    """Return how a mission is paused after an event; "" if it goes on.

    Raises:
        Illegal: the event changes nothing about that.
    """
    return _row(PAUSES, pause, event)


def ended(stage: Stage, event: str) -> Final:
    """Return the final state that an event leads to.

    Raises:
        Illegal: none.
    """
    return _row(ENDS, stage, event)


def owed_in(stage: Stage) -> Owed:
    """Return what is sent in a stage."""
    return next(owed for to, owed in MOVES.values() if to == stage)


def _row(table: Mapping[tuple[S, str], R], state: S, event: str) -> R:
    if (state, event) not in table:
        raise Illegal(f"a mission that is {state or 'not paused'} has no event {event!r}")
    return table[state, event]


# -- pictures -------------------------------------------------------------------------------------------


_SEEN: dict[Stage, str] = {"none": "", **STATE_OF, "finishing": "completed"}
"""A mission that is finishing is over as soon as it is not paused."""


def _work() -> list[tuple[str, str, str]]:
    """Return the arrows between the states of work that the CEO sees: from, to, and what leads there."""
    found = [(_SEEN[a], _SEEN[b], event) for (a, event), (b, _) in MOVES.items()]
    found += [
        (_SEEN[stage], final, event)
        for (stage, event), final in ENDS.items()
        if any((other, event) not in ENDS for other in LIVE)
    ]
    return [(a, b, event) for a, b, event in found if a != b]


def _anywhere() -> list[tuple[str, str, str]]:
    """Return what can happen in any state of work, and in any pause."""
    found: dict[tuple[str, str], list[str]] = {}
    for (pause, event), to in PAUSES.items():
        if pause == "" and to:
            found.setdefault(("work", to), []).append(event)
        elif to == "":
            found.setdefault((pause, "work"), []).append(event)
    for event in dict.fromkeys(event for _, event in ENDS):
        if all((stage, event) in ENDS for stage in LIVE):
            found.setdefault(("work", ENDS["opening", event]), []).append(event)
    return [(a, b, "; ".join(events)) for (a, b), events in found.items()]


def diagram() -> str:
    """Return the state diagram of a mission, as Mermaid draws it."""
    inner = [f"        {a or '[*]'} --> {b}: {event}" for a, b, event in _work() if b not in m.FINAL]
    ends = [f"    {a} --> {b}: {event}" for a, b, event in _work() if b in m.FINAL]
    outer = [f"    {a} --> {b}: {events}" for a, b, events in _anywhere()]
    return "\n".join(["stateDiagram-v2", "    state work {", *inner, "    }", *ends, *outer])


def picture() -> str:
    """Return the same as lines of text, for a docstring."""
    return "\n".join(f"    {a or '·'} ── {event} ──> {b}" for a, b, event in [*_work(), *_anywhere()])
