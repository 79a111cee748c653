"""The COO's state of one mission."""

from __future__ import annotations

from typing import Literal

import msgspec

from actors import messages as m
from actors.roles.coo.states import STATE_OF, Final, Pause, Stage
from bus.table import Ref


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """One task of the plan, and where it is."""

    plan: m.PlannedTask
    state: Literal["waiting", "executing", "reviewing", "done", "failed"] = "waiting"
    rework: int = 0
    attempts: int = 0
    findings: tuple[m.Finding, ...] = ()


class Desk(msgspec.Struct, frozen=True, kw_only=True):
    """The COO's state of one mission.

    `owed` says that the stage's order has not been sent. `files` is what QA approved so far, `work` what
    the Engineer handed in for the task under review. `slotless` says that it gave its slot back in a pause.
    `plans` counts the plans that were asked for, `unreadable` those in a row that could not be read, and
    `replans` those that could not be carried out; `blocked` is what was in the way of the last.
    `rank` is that of the weakest evidence that a task was approved on.
    """

    mission: m.Mission | None = None
    stage: Stage = "none"
    paused: Pause = ""
    final: Final = ""
    reason: str = ""
    fix: str = ""
    refusal: m.Refusal | None = None
    owed: bool = False
    retry_of: str = ""
    jobs: tuple[Job, ...] = ()
    current: int = 0
    files: dict[str, Ref] = {}
    work: dict[str, Ref] = {}
    plans: int = 0
    loops: int = 0
    mails: int = 0
    pauses: int = 0
    pause_ends_ns: int = 0
    new_period_ns: int = 0
    digest: str = ""
    cap: int = 0
    asks_raise: str = ""
    raise_microusd: int = 0
    asked_raises: int = 0
    park_ns: int = 0
    slotless: bool = False
    replans: int = 0
    unreadable: int = 0
    blocked: str = ""
    rank: m.Rank = ""

    @property
    def state(self) -> m.State:
        return self.final or self.paused or STATE_OF[self.stage]

    @property
    def terms(self) -> m.Terms:
        assert self.mission is not None
        return self.mission.terms
