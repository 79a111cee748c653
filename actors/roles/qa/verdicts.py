"""What QA says in the end, and who is wrong when a case fails: the work, the case or the brief. Pure."""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec

from actors import messages as m
from actors.roles import worker
from actors.roles.evidence import digest_of
from actors.roles.qa import questions
from actors.roles.qa.bench import Bench
from bus.fold import Step

MAX_TRIES = 2
"""How often the model may answer a turn unreadably before the task fails."""

MAX_REPEATED = 3
"""At so many of one finding on the same files, or of rejections of work that passes every case, it stops."""

_LOOK = "coo exam shows the cases; coo resume has QA judge once more, or coo cancel"


def on_verdict(bench: Bench, task: m.Task, reply: m.Reply) -> Step:
    """Take the judge's word: it may reject what passes every case, and not approve what fails one."""
    bench = msgspec.structs.replace(bench, orders=bench.orders.done("judge"))
    verdict = reply.verdict or m.Verdict(verdict="rejected", reason="the model gave no verdict")
    failing = bench.marks["marks"].fails if "marks" in bench.marks else {}
    if verdict.verdict == "approved" and failing:
        if bench.tries + 1 < MAX_TRIES:
            problem = f"You approved, and these cases failed: {', '.join(list(failing)[:5])}"
            return questions.ask_judge(bench, task, problem, bench.tries + 1)
        return _rejected(bench, task, m.Verdict(verdict="rejected"), failing)
    if verdict.verdict == "approved":
        rank: m.Rank = "observed" if bench.paper is not None else "claimed"
        return report(bench, task, "approved", examined=digest_of(task.files), rank=rank)
    if verdict.at_fault == "case" and failing:
        return _on_wrong_case(bench, task, verdict, failing)
    if verdict.at_fault == "brief":
        return report(bench, task, "blocked", reason=_said(verdict, failing))
    return _rejected(bench, task, verdict, failing)


def _on_wrong_case(bench: Bench, task: m.Task, verdict: m.Verdict, failing: dict[str, str]) -> Step:
    """Have an exam with a wrong case written anew, once in a task."""
    names = ", ".join([name for name in verdict.cases if name in failing] or failing)
    said = f"The case {names} is wrong: {_said(verdict, failing)}"
    if bench.wrong:
        return _stuck(bench, task, f"QA's exams are wrong again. {said}")
    bench = msgspec.structs.replace(bench.without_paper(), wrong=bench.wrong + 1)
    return questions.ask_exam(bench, task, said)


def _rejected(bench: Bench, task: m.Task, verdict: m.Verdict, failing: dict[str, str]) -> Step:
    findings = verdict.findings or tuple(
        m.Finding(problem=why or f"the case {name} failed", expected="what the brief says")
        for name, why in failing.items()
    )
    findings = findings or (m.Finding(problem=verdict.reason or "rejected without a reason"),)
    of_substance = tuple(finding for finding in findings if not finding.taste)
    if not failing and not of_substance:
        return _stuck(bench, task, f"QA's judge finds only taste: {findings[0].problem}")
    if not failing:
        bench = msgspec.structs.replace(bench, against=bench.against + 1)
    bench = msgspec.structs.replace(bench, repeated=_counted(bench, task, of_substance or findings))
    if max(bench.repeated.values()) >= MAX_REPEATED or bench.against >= MAX_REPEATED:
        return _stuck(bench, task, f"QA finds this for the third time: {findings[0].problem}")
    return report(bench, task, "rejected", findings=of_substance or findings)


def _counted(bench: Bench, task: m.Task, findings: tuple[m.Finding, ...]) -> dict[str, int]:
    tree = digest_of(task.files)
    counted = dict(bench.repeated)
    for finding in findings:
        key = hashlib.sha256(f"{tree}\n{finding.problem}".encode()).hexdigest()[:16]
        counted[key] = counted.get(key, 0) + 1
    return dict(list(counted.items())[-100:])


def _stuck(bench: Bench, task: m.Task, reason: str) -> Step:
    """Stop and say so; told to go on, QA judges the same work once more."""
    counted = dict.fromkeys(bench.repeated, 0)
    bench = msgspec.structs.replace(bench, against=0, wrong=0, repeated=counted)
    return report(questions.put_aside(bench, task), task, "stuck", reason=reason[:2000], fix=_LOOK)


def _said(verdict: m.Verdict, failing: dict[str, str]) -> str:
    problems = [finding.problem for finding in verdict.findings] or [verdict.reason]
    whys = [f"{name}: {why}" for name, why in failing.items()]
    return "\n".join(filter(None, [*problems, *whys]))[:2000]


def report(bench: Bench, task: m.Task, status: str, **said: Any) -> Step:
    """Tell the COO, with the evidence that there is; QA's own runs of a task are kept for its rework."""
    evidence = list(bench.evidence.values())
    if bench.paper is not None and "marks" in bench.marks:
        evidence.append(
            m.Evidence(
                run="exam",
                argv=bench.paper.marker,
                status="ok" if not bench.marks["marks"].fails else "failed",
                output=questions.marked(bench, task)[:_OUTPUT_CHARS],
                rank="observed",
            )
        )
    if status in ("approved", "rejected", "failed", "blocked"):
        failed = "marks" in bench.marks and bool(bench.marks["marks"].fails)
        used_up = bench.used_up or not bench.is_fresh
        bench = msgspec.structs.replace(
            bench, phase="idle", failed=failed, used_up=used_up, orders=bench.orders.none()
        )
    return worker.report(bench, task, status, evidence=tuple(evidence), **said)


_OUTPUT_CHARS = 4_000
