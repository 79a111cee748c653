"""QA's state: the work at hand, the exam it sits, and what its runs showed so far. Pure."""

from __future__ import annotations

from typing import Literal

import msgspec

from actors import messages as m
from actors.roles.worker import Orders

Phase = Literal["idle", "proving", "writing", "examining", "marking", "judging"]

MOST_KEPT = 100
"""Answers of cases that a mission keeps; older ones are made again when they are needed."""


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What one case showed on one tree. `tree` has `exit_code`, `stdout`, `stderr` and `files/`."""

    status: str
    cut: bool = False
    tree: m.Manifest = {}
    said: str = ""

    @property
    def ended(self) -> bool:
        """Whether the work came to its own end, and all that it wrote is there."""
        return self.status in ("ok", "failed") and not self.cut


class Marks(msgspec.Struct, frozen=True, kw_only=True):
    """What a marker said: the cases that pass, why the others do not, or what is wrong with the marker."""

    passes: tuple[str, ...] = ()
    fails: dict[str, str] = {}
    fault: str = ""


class Bench(msgspec.Struct, frozen=True, kw_only=True):
    """QA's state of one mission.

    `asked` counts the calls of each turn for this very work, `tries` those since the last that could be read.
    `paper` is the exam that it is examined by, `is_fresh` that it was written for this very work, `failed`
    that the work before it failed a case of it, `used_up` that its spare cases are no secret any more,
    `proven` the cases whose controls were run, `thorough` that every case is tried on the workspace before
    the task, not the first alone; `told` are all cases there were. `faults` counts exams that
    proved nothing, `wrong` cases that were judged wrong, `against` rejections of work that passed every case,
    `repeated` findings by what was found on which tree. `answers` are kept by tree and case.
    """

    task: m.Task | None = None
    phase: Phase = "idle"
    tries: int = 0
    evidence: dict[str, m.Evidence] = {}
    orders: Orders = Orders(model="model-qa")
    asked: dict[str, int] = {}
    paper: m.Exam | None = None
    is_fresh: bool = False
    failed: bool = False
    used_up: bool = False
    proven: tuple[str, ...] = ()
    thorough: bool = False
    told: tuple[str, ...] = ()
    marks: dict[str, Marks] = {}
    faults: int = 0
    wrong: int = 0
    against: int = 0
    repeated: dict[str, int] = {}
    answers: dict[str, Answer] = {}

    @property
    def acceptance(self) -> m.Evidence | None:
        """What the acceptance command showed on this work: its own claim."""
        return self.evidence.get("acceptance")

    @property
    def sitting(self) -> tuple[m.Case, ...]:
        """The cases that this work is examined by: those that are spare wait for a rework."""
        cases = self.paper.cases if self.paper else ()
        return tuple(case for case in cases if not (case.spare and self.is_fresh))

    @property
    def has_untold(self) -> bool:
        """Whether the work is examined by cases that nobody can have told its author of."""
        spare = any(case.spare for case in self.sitting)
        return self.is_fresh or (spare and self.failed and not self.used_up)

    def without_paper(self) -> Bench:
        """Return this without its exam, of which nothing is worth keeping."""
        return msgspec.structs.replace(self, paper=None, failed=False, used_up=False, proven=(), marks={})
