"""What a mission's work was examined by: every exam that QA sat over it, its cases, answers and marks."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from actors import messages as m
from actors.projections.record import Record, listing
from actors.roles.qa import marks
from actors.roles.qa.bench import Marks
from bus import blobs, subjects
from bus.envelope import Mail
from bus.ports import Carrier
from bus.reading import pages
from bus.subjects import MAIL_STREAM

_WORK = "marks"


@dataclass
class Sitting:
    """One exam on one piece of work. `number` counts the exams of a task, from 1."""

    task: m.Task
    number: int = 0
    exam: m.Exam | None = None
    answers: dict[str, m.Outcome] = field(default_factory=dict)
    marks: dict[str, Marks] = field(default_factory=dict)
    verdict: str = ""

    @property
    def examined(self) -> set[str]:
        """The cases that were marked, whether they were run for this work or known from before."""
        found = self.marks.get(_WORK, Marks())
        return {*found.passes, *found.fails}

    def told(self) -> dict[str, Any]:
        """Return it as the JSON that `coo exam` prints."""
        exam = self.exam or m.Exam(cases=(), marker=())
        return {
            "task": self.task.number + 1,
            "title": self.task.plan.title,
            "rework": self.task.rework,
            "exam": self.number,
            "marker": list(exam.marker),
            "files": listing(exam.files),
            "cases": [self._case(case) for case in exam.cases],
            "fault": self.marks[_WORK].fault if _WORK in self.marks else "",
            "controls": [
                {
                    "control": label.removeprefix("marks-"),
                    "passes": list(said.passes),
                    "fails": dict(said.fails),
                    "fault": said.fault,
                }
                for label, said in self.marks.items()
                if label != _WORK
            ],
            "verdict": self.verdict,
        }

    def _case(self, case: m.Case) -> dict[str, Any]:
        said, outcome = self.marks.get(_WORK, Marks()), self.answers.get(case.name)
        mark = "pass" if case.name in said.passes else "fail" if case.name in said.fails else ""
        return {
            "name": case.name,
            "argv": list(case.argv),
            "stdin": case.stdin,
            "inputs": listing(case.inputs),
            "keep": list(case.keep),
            "spare": case.spare,
            "mark": mark,
            "why": said.fails.get(case.name, ""),
            "status": outcome.status if outcome else "",
            "exit_code": outcome.exit_code if outcome else None,
            "stdout": outcome.stdout if outcome else "",
            "stderr": outcome.stderr if outcome else "",
        }


class Sittings:
    """Follows QA's mail and its orders, in the order of the log."""

    def __init__(self) -> None:
        self.all: list[Sitting] = []
        self._named: dict[str, list[str]] = {}
        self._known: dict[str, m.Outcome] = {}

    def add(self, mail: Mail) -> None:
        """Take the next mail of the mission; all but QA's says nothing here."""
        match mail.message:
            case m.Task() as task if mail.to == "qa":
                before = self.all[-1] if self.all and self.all[-1].task.number == task.number else None
                kept = before if task.rework else None
                self._known = self._known if kept else {}
                self.all.append(Sitting(task, kept.number if kept else 0, kept.exam if kept else None))
            case m.Reply(turn="exam", exam=m.Exam() as exam) if mail.to == "qa" and self.all:
                self._written(exam)
            case m.Execute() as run if mail.sender == "qa":
                names = {path.split("/")[1] for path in run.files if path.startswith("answers/")}
                self._named[f"qa/{mail.id}"] = sorted(names)
            case m.Outcome() as outcome if mail.to == "qa" and self.all:
                self._ran(outcome, self._named.get(mail.cause, []))
            case m.Result() as result if mail.sender == "qa" and self.all:
                self.all[-1].verdict = result.status

    def _written(self, exam: m.Exam) -> None:
        last = self.all[-1]
        if last.exam is not None:
            self.all.append(last := Sitting(last.task, last.number))
        last.exam, last.number = exam, last.number + 1
        self._known = {}

    def _ran(self, outcome: m.Outcome, names: list[str]) -> None:
        last = self.all[-1]
        if outcome.run.startswith("case-"):
            self._known[outcome.run.removeprefix("case-")] = outcome
        elif outcome.run.startswith("marks"):
            last.marks[outcome.run] = marks.read(outcome, names)
            last.answers = {name: self._known[name] for name in names if name in self._known}


async def read_sittings(carrier: Carrier, name: str) -> list[Sitting]:
    """Read every exam that was sat over a mission's work, in the order of the log."""
    record, sittings = Record(name), Sittings()
    async for page in pages(carrier, MAIL_STREAM, subjects.mission_filter(name)):
        for stored in page:
            if (mail := record.add(await blobs.whole(carrier, stored))) is not None:
                sittings.add(mail)
    return [sitting for sitting in sittings.all if sitting.exam is not None]
