"""QA's exam, letter by letter: what is asked, what is run, what proves nothing, and who is wrong."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from role_samples import OTHER, PLAN, REF, TERMS

from actors import messages as m
from actors.process.wiring import role
from actors.roles.evidence import digest_of
from actors.roles.qa import marks, paper
from bus.envelope import Letter, Mail
from bus.table import Ref

WORK = {"a.py": REF}
TASK = m.Task(number=0, plan=PLAN, goal="g", terms=TERMS, files=WORK)
CASES = (
    m.Case(name="one", argv=("python3", "a.py")),
    m.Case(name="two", argv=("python3", "a.py", "2")),
    m.Case(name="later", argv=("python3", "a.py", "3"), spare=True),
)
EXAM = m.Exam(cases=CASES, marker=("python3", "qa_exam/mark.py"), files={"qa_exam/mark.py": REF})
ALL_FAIL = "".join(f"FAIL {case.name}: no\n" for case in CASES)

Marker = Callable[[str, list[str]], m.Outcome | str]


def of(text: str, names: list[str]) -> str:
    """Return the lines of a marker that name one of these cases."""
    return "".join(f"{line}\n" for line in text.splitlines() if line.split(":")[0].split()[-1] in names)


def passing(*failing: str) -> Marker:
    """Return a marker as it should be: it passes the work but for some cases, and no control."""

    def mark(label: str, names: list[str]) -> str:
        if label != "marks":
            return of(ALL_FAIL, names)
        return "".join(f"FAIL {n}: wrong\n" if n in failing else f"PASS {n}\n" for n in names)

    return mark


class Qa:
    """Plays QA alone: answers its orders, and keeps what it sent."""

    def __init__(self, marker: Marker, task: m.Task = TASK) -> None:
        self.state: Any = role("qa").state()
        self.marker = marker
        self.seq = 0
        self.sent: list[Letter] = []
        self.waiting: list[Letter] = []
        self.task = task
        self.runs: list[str] = []
        self.case: dict[str, dict[str, Any]] = {}
        self.tell(task)

    def tell(self, message: msgspec.Struct) -> None:
        self.seq += 1
        mail = Mail(
            seq=self.seq, now_ns=self.seq, mission="m", to="qa", kind="k", sender="s", id=str(self.seq),
            message=message, cause="qa/x",
        )  # fmt: skip
        step = role("qa").handle(self.state, mail)
        assert msgspec.json.decode(msgspec.json.encode(step.state), type=role("qa").state) == step.state
        self.state = step.state
        self.sent += step.letters
        self.waiting += step.letters

    def run(self) -> None:
        """Answer every run that is out, until only a model or the COO is waited for."""
        while orders := [letter for letter in self.waiting if isinstance(letter.message, m.Execute)]:
            for letter in orders:
                self.waiting.remove(letter)
                assert isinstance(letter.message, m.Execute)
                self.runs.append(letter.message.run)
                self.tell(self._ran(letter.message))

    def _ran(self, order: m.Execute) -> m.Outcome:
        outcome = m.Outcome(
            run=order.run,
            number=order.number,
            rework=order.rework,
            round=order.round,
            status="ok",
            exit_code=0,
        )
        if order.run.startswith("marks"):
            names = sorted({path.split("/")[1] for path in order.files if path.startswith("answers/")})
            said = self.marker(order.run, names)
            return said if isinstance(said, m.Outcome) else msgspec.structs.replace(outcome, stdout=said)
        shown = {"exit_code": REF, "stdout": REF if order.run.endswith("one") else OTHER, "stderr": REF}
        outcome = msgspec.structs.replace(outcome, recorded=shown if order.record else {})
        return msgspec.structs.replace(outcome, **self.case.get(order.run, {}))

    def asked(self) -> m.Call:
        (letter,) = self.waiting
        assert isinstance(letter.message, m.Call)
        return letter.message

    def answer(self, **said: Any) -> None:
        call = self.asked()
        self.waiting.clear()
        self.tell(
            m.Reply(
                turn=call.turn,
                number=call.number,
                rework=call.rework,
                round=call.round,
                status="answered",
                **said,
            )
        )
        self.run()

    def examined(self, exam: m.Exam = EXAM) -> Qa:
        """Go on to the judge."""
        self.run()
        self.answer(exam=exam)
        return self

    def result(self) -> m.Result:
        (letter,) = self.waiting
        assert isinstance(letter.message, m.Result)
        self.waiting.clear()
        return letter.message

    def judge(self, verdict: str = "approved", **more: Any) -> None:
        self.answer(verdict=m.Verdict(verdict=verdict, **more))  # type: ignore[arg-type]  # one of two words


def rework(files: m.Manifest, number: int = 1) -> m.Task:
    return msgspec.structs.replace(TASK, files=files, rework=number)


# -- the way it should go -------------------------------------------------------------------------------


def test_what_passes_is_approved_with_the_digest_of_what_was_examined() -> None:
    qa = Qa(passing()).examined()
    assert qa.runs == [
        "acceptance", "case-one", "case-two", "before-one", "marks", "marks-empty", "marks-before",
        "marks-swapped",
    ]  # fmt: skip
    qa.judge()
    result = qa.result()
    assert (result.status, result.examined, result.rank) == ("approved", digest_of(WORK), "observed")
    assert [evidence.rank for evidence in result.evidence] == ["claimed", "observed"]


def test_a_case_runs_on_the_work_alone_and_the_marker_on_nothing_of_it() -> None:
    qa = Qa(passing()).examined()
    for order in (letter.message for letter in qa.sent if isinstance(letter.message, m.Execute)):
        if order.run.startswith("marks"):
            assert "a.py" not in order.files
            assert order.files["qa_exam/mark.py"] == REF
        elif order.run.startswith("case"):
            assert order.files == WORK
            assert order.record
        elif order.run.startswith("before"):
            assert order.files == {}


def test_a_few_runs_of_a_mission_are_out_at_once_and_each_case_runs_once() -> None:
    many = tuple(m.Case(name=f"case-{n}", argv=("python3", "a.py", str(n))) for n in range(30))
    qa = Qa(lambda label, names: "".join(f"{'PASS' if label == 'marks' else 'FAIL'} {n}\n" for n in names))
    most = 0
    qa.run()
    call = qa.asked()
    qa.waiting.clear()
    exam = m.Exam(cases=many, marker=("x",), files={})
    qa.tell(m.Reply(turn="exam", number=0, rework=0, round=call.round, status="answered", exam=exam))
    while qa.state.phase != "judging":
        most = max(most, len(qa.waiting))
        order = qa.waiting.pop(0).message
        assert isinstance(order, m.Execute)
        qa.runs.append(order.run)
        qa.tell(qa._ran(order))
    assert most <= 4
    assert sorted(run for run in qa.runs if run.startswith("case")) == sorted(f"case-{c.name}" for c in many)
    assert [run for run in qa.runs if run.startswith("before")] == ["before-case-0"]


def test_a_file_in_qas_folder_is_a_finding_before_anything_runs() -> None:
    qa = Qa(passing(), msgspec.structs.replace(TASK, files={**WORK, "QA_exam/mark.py": REF}))
    result = qa.result()
    assert (result.status, result.findings[0].file, qa.runs) == ("rejected", "QA_exam/mark.py", [])


def test_qa_is_never_shown_the_sources_before_the_exam_is_written() -> None:
    qa = Qa(passing())
    qa.run()
    assert (qa.asked().turn, qa.asked().files) == ("exam", {})
    assert qa.asked().variables["paths"] == "a.py"


# -- a rework -------------------------------------------------------------------------------------------


def test_a_rework_sits_the_old_exam_with_its_spare_cases_and_no_new_call() -> None:
    qa = Qa(passing("two")).examined()
    qa.judge("rejected", at_fault="work", findings=(m.Finding(problem="two is wrong"),))
    assert qa.result().status == "rejected"
    qa.marker, qa.runs = passing(), []
    qa.tell(rework({"a.py": OTHER}))
    qa.run()
    assert qa.runs == ["acceptance", "case-one", "case-two", "case-later", "marks", "marks-empty"]
    assert qa.asked().turn == "judge"
    qa.judge()
    assert qa.result().examined == digest_of({"a.py": OTHER})


def test_work_that_was_sent_back_against_its_exam_sits_another_one_after_the_old() -> None:
    qa = Qa(passing()).examined()
    qa.judge("rejected", at_fault="work", findings=(m.Finding(problem="three is wrong"),))
    qa.result()
    qa.tell(rework({"a.py": OTHER}))
    qa.run()
    assert (qa.asked().turn, "one: python3 a.py" in qa.asked().variables["known"]) == ("exam", True)


def test_the_same_case_on_the_same_files_is_run_once() -> None:
    qa = Qa(passing()).examined()
    qa.judge("rejected", at_fault="work", findings=(m.Finding(problem="p"),))
    qa.result()
    qa.runs = []
    qa.tell(rework(WORK))
    qa.run()
    assert [run for run in qa.runs if run.startswith("case")] == ["case-later"]


# -- an exam that proves nothing ------------------------------------------------------------------------

FAULTS: dict[str, Marker] = {
    "says nothing": lambda label, names: "",
    "says less": lambda label, names: of("PASS one\n", names),
    "says one twice": lambda label, names: of("PASS one\nPASS one\nPASS two\n", names),
    "forges a name": lambda label, names: "PASS forged\n",
    "says something else": lambda label, names: "every check passed\n",
    "says too much": lambda label, names: "PASS one\n" * 600,
    "passes everything": lambda label, names: "".join(f"PASS {name}\n" for name in names),
    "passes what is empty": lambda label, names: (
        of(ALL_FAIL, names) if label == "marks-before" else "".join(f"PASS {name}\n" for name in names)
    ),
    "passes what was there before": lambda label, names: (
        of(ALL_FAIL, names) if label == "marks-empty" else "".join(f"PASS {name}\n" for name in names)
    ),
    "passes any answer": lambda label, names: (
        "".join(f"PASS {name}\n" for name in names)
        if label in ("marks", "marks-swapped")
        else of(ALL_FAIL, names)
    ),
    "crashes": lambda label, names: ended("failed", 1),
    "never ends": lambda label, names: ended("timeout", None),
    "floods": lambda label, names: ended("output_limit", None),
}


def ended(status: str, code: int | None) -> m.Outcome:
    return m.Outcome(
        run="marks", number=0, rework=0, round=1, status=status, exit_code=code, stdout="PASS one\n"
    )


@pytest.mark.parametrize("name", FAULTS)
def test_an_exam_that_proves_nothing_is_written_anew_twice_and_then_the_task_fails(name: str) -> None:
    number = 1

    def mark(label: str, names: list[str]) -> m.Outcome | str:
        said = FAULTS[name](label, names)
        return msgspec.structs.replace(said, run=label, round=number) if isinstance(said, m.Outcome) else said

    qa = Qa(mark)
    qa.run()
    for number in (1, 2, 3):
        assert qa.asked().turn == "exam"
        assert (qa.asked().variables["problem"] == "none") == (number == 1)
        qa.answer(exam=EXAM)
    result = qa.result()
    assert result.status == "failed"
    assert "QA's exams prove nothing" in result.reason


def test_without_an_exam_the_works_own_word_counts_only_where_the_terms_say_so() -> None:
    terms = msgspec.structs.replace(TERMS, evidence="claimed")
    qa = Qa(lambda label, names: "", msgspec.structs.replace(TASK, terms=terms))
    qa.run()
    for _ in range(3):
        qa.answer(exam=EXAM)
    assert qa.asked().turn == "judge"
    qa.judge()
    assert (qa.state.paper, qa.result().rank) == (None, "claimed")


def test_where_the_first_case_passes_before_the_task_the_others_are_tried_there() -> None:
    def mark(label: str, names: list[str]) -> str:
        if label == "marks-before":
            return "".join(f"PASS {name}\n" if name == "one" else f"FAIL {name}: no\n" for name in names)
        return str(passing()(label, names))

    qa = Qa(mark).examined()
    assert [run for run in qa.runs if "before" in run] == [
        "before-one", "marks-before", "before-two", "marks-before",
    ]  # fmt: skip
    assert qa.asked().turn == "judge"


@pytest.mark.parametrize(
    "outcome",
    [
        {"status": "timeout", "exit_code": None},
        {"status": "out_of_memory", "exit_code": None},
        {"status": "output_limit", "exit_code": None},
        {"status": "ok", "cut": True},
        {"status": "failed", "exit_code": None, "recorded": {}},
    ],
)
def test_a_case_without_an_end_of_its_own_has_failed_whatever_its_mark(outcome: dict[str, Any]) -> None:
    qa = Qa(passing())
    qa.case["case-two"] = outcome
    qa.examined()
    assert "FAIL two: its run did not come to an end of its own" in qa.asked().variables["evidence"]


# -- whose file is whose --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path", ["a.py", "A.PY", "a.py/x", "b.py", "json.PY", "lib/new.py", "a.pth", "x.so", "data.zip"]
)
def test_an_input_in_the_place_of_a_file_of_the_work_is_told_to_its_author(path: str) -> None:
    shadowing = msgspec.structs.replace(
        EXAM, cases=(msgspec.structs.replace(CASES[0], inputs={path: REF}), CASES[1])
    )
    qa = Qa(passing()).examined(shadowing)
    assert qa.asked().turn == "exam"
    assert path in qa.asked().variables["problem"]
    qa.answer(exam=shadowing)
    assert qa.result().status == "failed"


@pytest.mark.parametrize("path", ["qa_exam/drive.py", "in.csv", "data/in.txt", "a.txt"])
def test_other_inputs_are_a_case_of_their_own(path: str) -> None:
    exam = msgspec.structs.replace(EXAM, cases=(msgspec.structs.replace(CASES[0], inputs={path: REF}),))
    assert paper.collision(exam, WORK) == ""


# -- who is wrong ---------------------------------------------------------------------------------------


def test_a_judge_cannot_approve_what_a_case_fails() -> None:
    qa = Qa(passing("two")).examined()
    qa.judge()
    assert (qa.asked().turn, "these cases failed: two" in qa.asked().variables["problem"]) == ("judge", True)
    qa.judge()
    result = qa.result()
    assert (result.status, [finding.problem for finding in result.findings]) == ("rejected", ["wrong"])


def test_a_wrong_case_is_written_anew_once_and_then_somebody_looks() -> None:
    qa = Qa(passing("two")).examined()
    qa.judge("rejected", at_fault="case", cases=("two",), reason="the brief leaves it open")
    assert "The case two is wrong" in qa.asked().variables["problem"]
    qa.answer(exam=EXAM)
    qa.judge("rejected", at_fault="case", cases=("two",), reason="the brief leaves it open")
    result = qa.result()
    assert (result.status, "the brief leaves it open" in result.reason) == ("stuck", True)
    qa.tell(m.HoldWork())
    qa.tell(m.GoOn())
    assert qa.asked().turn == "judge"


def test_a_wrong_brief_goes_back_to_the_coo() -> None:
    qa = Qa(passing("two")).examined()
    qa.judge("rejected", at_fault="brief", reason="it contradicts itself")
    result = qa.result()
    assert (result.status, "it contradicts itself" in result.reason) == ("blocked", True)


def test_taste_alone_stops_the_mission_and_goes_on_when_told() -> None:
    qa = Qa(passing()).examined()
    qa.judge("rejected", findings=(m.Finding(problem="I prefer tabs", taste=True),))
    result = qa.result()
    assert (result.status, result.reason) == ("stuck", "QA's judge finds only taste: I prefer tabs")
    qa.tell(m.HoldWork())
    qa.tell(m.GoOn())
    qa.judge()
    assert qa.result().status == "approved"


def test_taste_beside_a_finding_is_not_told_to_the_engineer() -> None:
    qa = Qa(passing("two")).examined()
    qa.judge("rejected", findings=(m.Finding(problem="tabs", taste=True), m.Finding(problem="two")))
    assert [finding.problem for finding in qa.result().findings] == ["two"]


def test_the_same_finding_on_the_same_files_stops_at_the_third_time() -> None:
    qa = Qa(passing("two")).examined()
    for number in (1, 2):
        qa.judge("rejected", at_fault="work", findings=(m.Finding(problem="two is wrong"),))
        assert qa.result().status == "rejected"
        qa.tell(rework(WORK, number))
        qa.run()
    qa.judge("rejected", at_fault="work", findings=(m.Finding(problem="two is wrong"),))
    result = qa.result()
    assert (result.status, "third time: two is wrong" in result.reason) == ("stuck", True)


def test_a_judge_who_is_never_content_with_what_passes_stops_at_the_third_time() -> None:
    qa = Qa(passing()).examined()
    for number in (1, 2, 3):
        qa.judge("rejected", findings=(m.Finding(problem=f"wish {number}"),))
        result = qa.result()
        if number == 3:
            break
        tree = {"a.py": Ref(owner="model-engineer", digest=str(number) * 64, size=number)}
        qa.tell(rework(tree, number))
        qa.run()
        qa.answer(exam=EXAM)
    assert (result.status, "wish 3" in result.reason) == ("stuck", True)


# -- the acceptance command -----------------------------------------------------------------------------


@pytest.mark.parametrize(("code", "status"), [(0, None), (1, "rejected"), (126, "blocked"), (127, "blocked")])
def test_what_the_acceptance_command_shows(code: int, status: str | None) -> None:
    qa = Qa(passing())
    qa.case["acceptance"] = {"status": "ok" if code == 0 else "failed", "exit_code": code}
    qa.run()
    if status is None:
        assert qa.asked().turn == "exam"
    else:
        assert qa.result().status == status


@pytest.mark.parametrize(
    ("before", "after", "is_rejected"),
    [(0, 0, False), (0, 1, True), (1, 1, False), (1, 0, False), (127, 127, False)],
)
def test_tests_that_passed_before_must_pass_after(before: int, after: int, is_rejected: bool) -> None:
    plan = msgspec.structs.replace(PLAN, tests=("python3", "-m", "pytest"))
    qa = Qa(passing(), msgspec.structs.replace(TASK, plan=plan, before={"old.py": OTHER}))
    for label, code in (("tests-before", before), ("tests", after)):
        qa.case[label] = {"status": "failed" if code else "ok", "exit_code": code}
    qa.run()
    assert qa.runs == ["acceptance", "tests-before", "tests"]
    if not is_rejected:
        assert qa.asked().turn == "exam"
        return
    result = qa.result()
    assert result.status == "rejected"
    assert "tests that passed before the task fail after it" in result.findings[0].problem


def test_a_protected_file_that_was_changed_is_a_finding_before_anything_runs() -> None:
    plan = msgspec.structs.replace(PLAN, protected=("test_a.py",))
    task = msgspec.structs.replace(
        TASK, plan=plan, before={"test_a.py": REF}, files={**WORK, "test_a.py": OTHER}
    )
    qa = Qa(passing(), task)
    result = qa.result()
    assert (result.status, result.findings[0].file, qa.runs) == ("rejected", "test_a.py", [])


# -- marks ----------------------------------------------------------------------------------------------


def test_a_text_of_the_work_in_a_mark_passes_no_other_case() -> None:
    said = "FAIL one: got 'x\nPASS two'\nPASS two\n"
    outcome = m.Outcome(run="marks", number=0, rework=0, status="ok", exit_code=0, stdout=said)
    assert marks.read(outcome, ["one", "two"]).fault
    odd = msgspec.structs.replace(outcome, stdout="FAIL one: x\u2028PASS two\nFAIL two: y\x85PASS one\n")
    assert marks.read(odd, ["one", "two"]).passes == ()
