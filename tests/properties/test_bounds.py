"""Every integer on the wire has bounds in its type."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import inspect as types

from actors.table import TABLE
from bus.bounds import MOST, whole
from bus.envelope import Stored, open_mail
from bus.errors import BadMail
from bus.subjects import mail


def unbounded(kind: Any, path: str, seen: frozenset[type] = frozenset()) -> Iterator[str]:
    """Walk a type as msgspec sees it, and name each integer in it that lacks a bound."""
    if isinstance(kind, types.IntType):
        if kind.ge is None or kind.le is None:
            yield path
        return
    if isinstance(kind, types.StructType):
        if kind.cls in seen:
            return
        for field in kind.fields:
            yield from unbounded(field.type, f"{path}.{field.name}", seen | {kind.cls})
        return
    if isinstance(kind, types.AnyType):
        yield f"{path} is anything"
    for value in vars_of(kind):
        yield from unbounded(value, path, seen)


def vars_of(kind: Any) -> Iterator[Any]:
    values = (getattr(kind, name, None) for name in getattr(kind, "__struct_fields__", ()))
    for value in values:
        for one in value if isinstance(value, tuple) else (value,):
            if isinstance(one, types.Type):
                yield one


MESSAGES = {row.message for row in TABLE.rows}


def test_no_integer_on_the_wire_is_without_bounds() -> None:
    found = [name for one in MESSAGES for name in unbounded(types.type_info(one), one.__name__)]
    assert found == []


class Inner(msgspec.Struct):
    deep: dict[str, tuple[int | None, ...]]


class Outer(msgspec.Struct):
    one: int
    inner: list[Inner]
    free: Any = None


def test_the_walk_finds_what_has_no_bounds() -> None:
    found = {*unbounded(types.type_info(Outer), "Outer")}
    assert found == {"Outer.one", "Outer.inner.deep", "Outer.free is anything"}


def huge(kind: Any, number: str) -> str | None:
    """Write the smallest body of a type with a number in its first required integer; None if it has none."""
    fields = {field.encode_name: field for field in kind.fields}
    whole_ones = [name for name, field in fields.items() if isinstance(field.type, types.IntType)]
    return f'{{"{whole_ones[0]}":{number}}}' if whole_ones else None


ROWS = [row for row in TABLE.rows if huge(types.type_info(row.message), "1")]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.kind}-{row.sender}-{row.to}")
@pytest.mark.parametrize("number", ["9" * 17, "9" * 30, "9" * 4300, "-" + "9" * 4301, "1e400", "1.5"])
def test_an_integer_out_of_bounds_is_bad_mail(row: Any, number: str) -> None:
    if row.kind in ("tick", "wake", "granted") and number == "9" * 17:
        return  # a time in nanoseconds
    body = huge(types.type_info(row.message), number)
    assert body is not None
    subject = mail("m-1", row.to, row.kind, row.sender)
    with pytest.raises(BadMail) as refused:
        open_mail(TABLE, Stored(1, 1, subject, {"ce-id": "a"}, body.encode()), 1)
    assert refused.value.reason == "undecodable"


@pytest.mark.parametrize("name", ["coo-version", "coo-at"])
@pytest.mark.parametrize("text", ["x", "", "-1", "1.0", "٣", "9" * 4300, str(MOST + 1)])
def test_a_header_that_is_not_a_number_is_bad_mail(name: str, text: str) -> None:
    stored = Stored(
        1, 1, mail("m-1", "coo", "control", "ceo"), {"ce-id": "a", name: text}, b'{"action":"pause"}'
    )
    with pytest.raises(BadMail) as refused:
        open_mail(TABLE, stored, 1)
    assert refused.value.reason == "bad_headers"


@given(st.one_of(st.text(), st.integers().map(str), st.text("0123456789")))
def test_a_number_in_a_header_is_read_within_its_bounds_or_not_at_all(text: str) -> None:
    number = whole(text)
    assert number is None or (0 <= number <= MOST and int(text) == number)


def test_every_message_is_a_struct_and_no_dataclass() -> None:
    assert not any(dataclasses.is_dataclass(one) for one in MESSAGES)
