"""Plants mistakes in the packaged missions' right programs, and counts how many the packaged exams reject.

    PYTHONPATH=tests/support:tests python tests/dishonest/mutants.py [--mutants 60] [--seed 1]

A mutant differs from the right program in one place: a comparison, a number, an operator, a condition, a text
or a return value. Mutants that the program's own tests or an exam cannot run at all count as rejected.
"""

from __future__ import annotations

import argparse
import ast
import asyncio
import copy
import random
from collections import Counter
from collections.abc import Iterator
from typing import Any, NamedTuple

from actors import messages as m
from actors.desk.examine import examine
from actors.performers.model import replies
from actors.performers.model.providers.scripted import SCRIPTS, Answer, _read, _written
from bus.envelope import digest
from bus.table import Ref
from sandbox import Backend, Policy, choose_backend

RUN_S = 10
NONCE = "4d1f09c2b3a59687"
COMPARISONS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
}
OPERATORS: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Add,
    ast.Mod: ast.Mult,
}


class Work(NamedTuple):
    """A packaged task's right work in the end, and the exams that QA wrote of it."""

    name: str
    files: dict[str, bytes]
    exams: list[m.Exam]
    contents: dict[str, bytes]


class Mutant(NamedTuple):
    work: Work
    path: str
    kind: str
    line: int
    source: str


# -- what is right ----------------------------------------------------------------------------------------


async def works() -> list[Work]:
    """Return every packaged task that has an exam, as it is when it is done."""
    found: dict[str, Work] = {}
    for script in {script.name: script for script in _read(SCRIPTS).values()}.values():
        files: dict[str, bytes] = {}
        for answer in script.answers:
            name = f"{script.name} {answer.task}"
            if answer.turn == "code" and answer.raw is None:
                files |= {path: f"{text.rstrip()}\n".encode() for path, text in answer.files.items()}
            elif answer.turn == "exam":
                known = found.get(name, Work(name, {}, [], {}))
                exam = await _exam(answer, known.contents)
                found[name] = known._replace(exams=[*known.exams, exam])
            if name in found:
                found[name] = found[name]._replace(files=dict(files))
    return list(found.values())


async def _exam(answer: Answer, contents: dict[str, bytes]) -> m.Exam:
    async def store(written: Any) -> m.Manifest:
        refs = {path: Ref(owner="model-qa", digest=digest(path, answer.rework), size=1) for path in written}
        contents.update({refs[path].digest: content for path, content in written.items()})
        return refs

    exam = (await replies.read("exam", _written(answer, NONCE), NONCE, store))["exam"]
    assert isinstance(exam, m.Exam)
    return exam


# -- what is wrong ----------------------------------------------------------------------------------------


def changes(tree: ast.AST) -> Iterator[tuple[str, int, ast.AST]]:
    """Yield every tree that differs in one place: its kind, its line, the tree."""
    nodes = [node for node in ast.walk(tree) if hasattr(node, "lineno")]
    for n, node in enumerate(nodes):
        for kind, change in _of(node):
            other = copy.deepcopy(tree)
            twins = [twin for twin in ast.walk(other) if hasattr(twin, "lineno")]
            change(twins[n])
            yield kind, node.lineno, ast.fix_missing_locations(other)


def _of(node: Any) -> Iterator[tuple[str, Any]]:
    match node:
        case ast.Compare(ops=[operator]) if type(operator) in COMPARISONS:
            other = COMPARISONS[type(operator)]
            yield "comparison", lambda twin: setattr(twin, "ops", [other()])
        case ast.Constant(value=bool(value)):
            yield "boolean", lambda twin: setattr(twin, "value", not value)
        case ast.Constant(value=int(value)):
            yield "number", lambda twin: setattr(twin, "value", value + 1)
        case ast.BinOp(op=operator) if type(operator) in OPERATORS:
            other_op = OPERATORS[type(operator)]
            yield "operator", lambda twin: setattr(twin, "op", other_op())
        case ast.If() | ast.IfExp() | ast.While():
            yield "condition", lambda twin: setattr(twin, "test", ast.UnaryOp(ast.Not(), twin.test))
        case ast.BoolOp(op=ast.And()):
            yield "and, or", lambda twin: setattr(twin, "op", ast.Or())
        case ast.BoolOp(op=ast.Or()):
            yield "and, or", lambda twin: setattr(twin, "op", ast.And())
        case ast.Return(value=ast.Constant(value=0)):
            pass  # for an exit code nothing is as good as 0
        case ast.Return(value=ast.AST()):
            yield "return", lambda twin: setattr(twin, "value", ast.Constant(None))


def mutants_of(work: Work) -> list[Mutant]:
    found = []
    for path, content in work.files.items():
        if not path.endswith(".py") or path.startswith("test_"):
            continue
        right = content.decode()
        for kind, line, tree in changes(ast.parse(right)):
            if not _is_equal(right.splitlines()[line - 1]):
                found.append(Mutant(work, path, kind, line, ast.unparse(tree)))
    return found


def _is_equal(line: str) -> bool:
    """Say whether a change in this line is none that the brief speaks of: how help is laid out, how often."""
    return any(word in line for word in ("help=", "indent=", "__name__", "description="))


# -- the count --------------------------------------------------------------------------------------------


async def rejects(backend: Backend, work: Work, files: dict[str, bytes]) -> bool:
    """Say whether one of the task's exams fails a case, or cannot be marked."""
    for exam in work.exams:
        marks, _ = await examine(backend, exam, work.contents, files, RUN_S)
        if marks.fault or marks.fails:
            return True
    return False


async def run(count: int, seed: int) -> float:
    """Examine so many mutants and print what became of them; return the share that was rejected."""
    planted: Counter[str] = Counter()
    rejected: Counter[str] = Counter()
    backend = await choose_backend("bubblewrap", Policy())
    try:
        known = await works()
        for work in known:
            if await rejects(backend, work, work.files):
                raise SystemExit(f"{work.name}: its own exam rejects what is right")
        pool = [mutant for work in known for mutant in mutants_of(work)]
        for mutant in random.Random(seed).sample(pool, min(count, len(pool))):
            files = {**mutant.work.files, mutant.path: mutant.source.encode()}
            caught = await rejects(backend, mutant.work, files)
            planted[mutant.kind] += 1
            rejected[mutant.kind] += caught
            if not caught:
                print(f"passes: {mutant.work.name} {mutant.path}:{mutant.line} ({mutant.kind})", flush=True)
    finally:
        await backend.close()
    for kind, number in sorted(planted.items()):
        print(f"{kind:<12} {rejected[kind]:>3} of {number}")
    share = rejected.total() / planted.total()
    print(f"{'all':<12} {rejected.total():>3} of {planted.total()}: {share:.0%}")
    return share


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mutants", type=int, default=60)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    raise SystemExit(0 if asyncio.run(run(given.mutants, given.seed)) >= 0.8 else 1)


if __name__ == "__main__":
    main()
