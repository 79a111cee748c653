"""An exam and a tree: which files a case and a marker run on, and whose names are whose."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import msgspec

from actors import messages as m
from actors.roles.evidence import RESERVED, digest_of, is_reserved
from actors.roles.qa.bench import Answer
from bus.table import Ref

NOTHING = Ref(owner="sandbox", digest=hashlib.sha256(b"").hexdigest(), size=0)
EMPTY = Answer(status="ok", tree=dict.fromkeys(("exit_code", "stdout", "stderr"), NOTHING))
"""An answer that says nothing at all."""

_MODULES = (".py", ".pyc", ".pyd", ".so", ".pth", ".zip")
"""What Python takes a module from: such an input could stand before a module of the work, or of Python."""


def collision(exam: m.Exam, work: m.Manifest) -> str:
    """Say which input of a case takes the place of a file of the work; "" if none does."""
    for case in exam.cases:
        for path in case.inputs:
            if not is_reserved(path) and (why := _collides(path, work)):
                return f"case {case.name} is given {path}, {why}"
    return ""


def _collides(path: str, work: Iterable[str]) -> str:
    if path.casefold().endswith(_MODULES):
        return f"which could be imported instead of the work's own modules: put it into {RESERVED}/"
    name = path.casefold()
    for other in map(str.casefold, work):
        if name == other or name.startswith(f"{other}/") or other.startswith(f"{name}/"):
            return "which is the place of a file of the work: choose another name"
    return ""


def run_of(case: m.Case, task: m.Task, tree: m.Manifest, label: str, number: int) -> m.Execute:
    """Return the order that runs a case on a tree, for the exam of this number."""
    return m.Execute(
        run=label,
        number=task.number,
        rework=task.rework,
        argv=case.argv,
        files={**tree, **case.inputs},
        timeout_s=task.terms.run_timeout_s,
        round=number,
        stdin=case.stdin,
        keep=case.keep,
        record=True,
    )


def marking(exam: m.Exam, task: m.Task, answers: dict[str, Answer], label: str, number: int) -> m.Execute:
    """Return the order that marks answers by the name of their case."""
    files = dict(exam.files)
    for name, answer in answers.items():
        files |= {f"answers/{name}/{part}": ref for part, ref in answer.tree.items()}
    return m.Execute(
        run=label,
        number=task.number,
        rework=task.rework,
        argv=exam.marker,
        files=files,
        timeout_s=task.terms.run_timeout_s,
        round=number,
    )


def answer_of(outcome: m.Outcome) -> Answer:
    """Return what a case showed; a run of which nothing was kept shows nothing, and has no whole answer."""
    kept = {f"files/{path}": ref for path, ref in outcome.kept.items()}
    said = "\n".join(part for part in (outcome.stdout, outcome.stderr, outcome.reason) if part)
    return Answer(
        status=outcome.status,
        cut=outcome.cut or not outcome.recorded,
        tree={**EMPTY.tree, **outcome.recorded, **kept},
        said=said[-_SAID_CHARS:],
    )


_SAID_CHARS = 400
"""What a judge is shown of a case that failed."""


def key_of(tree_digest: str, case: m.Case) -> str:
    """Name what a case shows on a tree by all that it follows from."""
    spec = msgspec.json.encode(msgspec.structs.replace(case, name="-", spare=False))
    return hashlib.sha256(tree_digest.encode() + spec).hexdigest()[:32]


def answers_on(cases: tuple[m.Case, ...], tree: m.Manifest, known: dict[str, Answer]) -> dict[str, Answer]:
    """Return what is known of cases on a tree, by their names."""
    digest = digest_of(tree)
    keys = {case.name: key_of(digest, case) for case in cases}
    return {name: known[key] for name, key in keys.items() if key in known}
