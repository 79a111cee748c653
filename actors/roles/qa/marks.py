"""What a marker said, read strictly: one line for each case, no other, none twice. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection

from actors import messages as m
from actors.observed import SHOWN_CHARS
from actors.roles.qa.bench import Marks

_LINE = re.compile(r"(PASS|FAIL) ([a-z0-9][a-z0-9_-]{0,39})(?:: ?(.*))?")


def read(outcome: m.Outcome, names: Collection[str]) -> Marks:
    """Return the marks of these cases, or what is wrong with the marker."""
    if outcome.status != "ok":
        code = f", exit code {outcome.exit_code}" if outcome.exit_code is not None else ""
        return Marks(fault=f"the marker did not end well: {outcome.status}{code}\n{outcome.stderr[-400:]}")
    if len(outcome.stdout) >= SHOWN_CHARS:
        return Marks(fault=f"the marker says more than {SHOWN_CHARS} characters")
    passes: list[str] = []
    fails: dict[str, str] = {}
    for line in filter(str.strip, outcome.stdout.split("\n")):
        found = _LINE.fullmatch(line.strip())
        if found is None:
            return Marks(fault=f"the marker says what is no mark: {line[:100]!r}")
        word, name, why = found.groups()
        if name not in names:
            return Marks(fault=f"the marker marks a case that there is not: {name}")
        if name in passes or name in fails:
            return Marks(fault=f"the marker marks {name} twice")
        if word == "PASS":
            passes.append(name)
        else:
            fails[name] = (why or "")[:200]
    if silent := [name for name in names if name not in passes and name not in fails]:
        return Marks(fault=f"the marker says nothing of {', '.join(silent[:5])}")
    return Marks(passes=tuple(passes), fails=fails)


def of_ended(marks: Marks, ended: Collection[str]) -> Marks:
    """Return the marks with those cases failed whose run had no end of its own, or no whole answer."""
    fails = dict(marks.fails)
    for name in marks.passes:
        if name not in ended:
            fails[name] = "its run did not come to an end of its own, or wrote too much"
    return Marks(passes=tuple(name for name in marks.passes if name in ended), fails=fails, fault=marks.fault)
