"""What a model answered, as the fields of a reply: read by what its turn asked for, its files stored."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

import msgspec

from actors import messages as m
from actors.performers.model import answers
from actors.performers.model.forms import Verdict
from actors.performers.model.papers import Paper, read_exam
from actors.performers.model.port import ModelError

Store = Callable[[Mapping[str, bytes]], Awaitable[m.Manifest]]


async def read(turn: str, text: str, nonce: str, store: Store) -> dict[str, object]:
    """Return the fields of a reply that an answer fills in.

    Raises:
        ModelError: it is not what the turn asks for.
    """
    try:
        answers.check_text(text)
        match turn:
            case "plan":
                plan = answers.read_plan(text)
                tasks = msgspec.convert(plan.model_dump(), dict)["tasks"]
                return {"plan": msgspec.convert(tasks, tuple[m.PlannedTask, ...]), "summary": plan.summary}
            case "judge":
                return {"verdict": _verdict(answers.read_verdict(text))}
            case "exam":
                paper = read_exam(text, nonce)
                return {"exam": _exam(paper, await store(paper.files)), "summary": paper.summary}
            case "code":
                written = answers.read_files(text, nonce)
    except answers.InvalidAnswer as error:
        raise ModelError("invalid_answer", str(error)) from error
    if written.bad:
        bad = "; ".join(f"{path}: {why}" for path, why in list(written.bad.items())[:10])
        raise ModelError("invalid_answer", bad)
    files = await store(written.files)
    return {"files": files, "summary": written.summary, "blocked": written.blocked}


def _exam(paper: Paper, files: m.Manifest) -> m.Exam:
    cases = tuple(
        m.Case(
            name=case.name,
            argv=tuple(case.argv),
            stdin=case.stdin,
            inputs={path: files[source] for path, source in case.inputs.items()},
            keep=tuple(case.keep),
            spare=case.spare,
        )
        for case in paper.cases
    )
    return m.Exam(cases=cases, marker=tuple(paper.marker), files=files)


def _verdict(verdict: Verdict) -> m.Verdict:
    findings = tuple(
        m.Finding(problem=f.problem, expected=f.expected, file=f.file, taste=f.taste)
        for f in verdict.findings
    )
    return m.Verdict(
        verdict=verdict.verdict,
        findings=findings,
        reason=verdict.reason,
        at_fault=verdict.at_fault,
        cases=tuple(verdict.cases),
    )
