"""No text from outside becomes a wildcard: every function that makes a subject or a filter is tried."""

from __future__ import annotations

import inspect
import re
import typing
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bus import subjects
from bus.errors import NotAToken
from bus.subjects import ANY, Address, Filter, Subject

FITTING = {"mission": "m-1", "digest": "0" * 64, "n": 0}
PRODUCT = Path(__file__).parents[2]


def makers() -> dict[str, Callable[..., str]]:
    """Return every function of the module that makes a subject or a filter out of texts."""
    found = {}
    for name, function in inspect.getmembers(subjects, inspect.isfunction):
        hints = typing.get_type_hints(function)
        made = hints.pop("return", None)
        if name[0] != "_" and made in (Subject, Filter) and not {Subject, Address} & set(hints.values()):
            found[name] = function
    return found


MAKERS = makers()


def fitting(name: str) -> dict[str, Any]:
    """Return an argument for every parameter of a maker."""
    return {one: FITTING.get(one, "coo") for one in inspect.signature(MAKERS[name]).parameters}


def test_the_makers_are_found() -> None:
    assert {"mail", "blob_chunk", "dead_letter", "mail_filter", "mission_filter", "hint_filter"} <= set(
        MAKERS
    )
    assert subjects.exactly(Address("m-1", "coo", "result", "qa")) == "coo.m.m-1.coo.result.qa"
    with pytest.raises(NotAToken):
        subjects.exactly(Address("*", "coo", "result", "qa"))


@pytest.mark.parametrize("name", MAKERS)
def test_what_a_maker_makes_has_no_wildcard_but_those_asked_for(name: str) -> None:
    made = MAKERS[name](**fitting(name))
    wild = re.findall(r"[*>]", made)
    assert not wild or typing.get_type_hints(MAKERS[name])["return"] is Filter
    assert made.startswith("coo.")


@pytest.mark.parametrize(("name", "part"), [(name, part) for name in MAKERS for part in fitting(name)])
@given(
    text=st.one_of(
        st.text(max_size=80),
        st.sampled_from(["*", ">", "", ".", "m-1.>", "m-1.*", "*.coo", " ", "m 1", "m-1\n", "M-1", "é"]),
        st.none(),
        st.integers(),
        st.binary(),
        st.floats(),
    )
)
def test_a_part_is_a_token_or_is_refused(name: str, part: str, text: Any) -> None:
    parts = fitting(name)
    parts[part] = text
    try:
        made = MAKERS[name](**parts)
    except NotAToken:
        return
    before = MAKERS[name](**fitting(name)).split(".")
    after = made.split(".")
    assert len(before) == len(after)
    changed = [(old, new) for old, new in zip(before, after, strict=True) if old != new]
    assert all(subjects.is_token(new) and new == str(text) for _, new in changed)
    assert part == "n" or isinstance(text, str)


def test_only_a_wildcard_is_wild() -> None:
    assert subjects.mail_filter(ANY, "coo") == "coo.m.*.coo.*.*"
    with pytest.raises(NotAToken):
        subjects.mail_filter("*", "coo")
    with pytest.raises(NotAToken):
        subjects.mail(ANY, "coo", "result", "qa")


def test_only_one_module_writes_or_splits_subjects() -> None:
    """A literal elsewhere would be a filter that nobody has looked at; a taken actor keeps to no grammar."""
    literal = re.compile(r'f?"coo\.(m|b|dlq|hint)\.')
    taken_apart = re.compile(r"(?<!msg)\.subject\.(r?split|startswith|endswith|r?partition)\(")
    found = [
        f"{path.relative_to(PRODUCT)}:{number}"
        for folder in ("actors", "bus", "config", "sandbox")
        for path in sorted((PRODUCT / folder).rglob("*.py"))
        if path.relative_to(PRODUCT).as_posix() not in ("bus/subjects.py", "actors/chaos/adversary.py")
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if literal.search(line) or taken_apart.search(line)
    ]
    assert found == []
