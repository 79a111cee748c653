"""Amounts are integers or decimal strings everywhere: no float, no division that makes one."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from actors.performers.model.providers.sse import Answer, BadStream, Lines, take
from actors.performers.model.usage import cost_of

ROOT = Path(__file__).parents[3]
MONEY_PATH = (
    "actors/money.py",
    "actors/roles/budget/ledger.py",
    "actors/roles/budget/billing.py",
    "actors/roles/budget/fitting.py",
    "actors/roles/budget/waiting.py",
    "actors/roles/coo/raising.py",
    "actors/roles/budget/role.py",
    "actors/performers/model/bill.py",
    "actors/performers/model/pricing.py",
    "actors/performers/model/providers/sse.py",
    "actors/performers/model/usage.py",
    "actors/projections/account.py",
    "actors/projections/books.py",
    "actors/desk/limits.py",
    "actors/cli/budget.py",
    "actors/cli/prices.py",
    "actors/projections/audit.py",
    "config/amounts.py",
)


def floats_in(source: str) -> list[int]:
    """Return the lines with a float literal, a call of float, or a true division."""
    return [
        node.lineno
        for node in ast.walk(ast.parse(source))
        if (isinstance(node, ast.Constant) and isinstance(node.value, float))
        or (isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "float")
        or (isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div))
    ]


@pytest.mark.parametrize("path", MONEY_PATH)
def test_no_float_is_in_the_money_path(path: str) -> None:
    assert floats_in((ROOT / path).read_text()) == []


def test_a_float_would_be_found() -> None:
    assert floats_in("a = 1 / 2\nb = 0.5\nc = float(d)") == [1, 2, 3]


@pytest.mark.parametrize(
    ("usage", "microusd"),
    [
        ('"cost": 0.0000001', 1),
        ('"cost": 1e-7', 1),
        ('"cost": 0.1000000', 100_000),
        ('"cost": 0.30000000000000004', 300_001),
        ('"cost": 3', 3_000_000),
        ('"cost": 0', None),
        ('"cost": -1', None),
        ('"cost": 1e30', None),
        ('"cost": "0.1"', None),
        ('"cost": true', None),
        ('"cost": null', None),
        ('"cost": 0.01, "is_byok": true, "cost_details": {"upstream_inference_cost": 0.02}', 30_000),
        ('"cost": 0.01, "is_byok": true', None),
    ],
)
def test_a_providers_figure_is_read_exactly_and_rounded_up(usage: str, microusd: int | None) -> None:
    answer = Answer(10)
    take(f'{{"usage": {{{usage}}}}}', answer)
    assert answer.microusd == microusd
    assert cost_of({}) is None


@pytest.mark.parametrize("data", ["{", "[]", "1", '{"usage": {"cost": NaN}}', '{"error": {"code": 1}}'])
def test_what_is_no_event_is_a_bad_stream(data: str) -> None:
    with pytest.raises(BadStream):
        take(data, Answer(10))


def test_an_answer_far_longer_than_asked_for_is_cut() -> None:
    with pytest.raises(BadStream, match="more than 1 tokens"):
        take('{"choices": [{"delta": {"content": "' + "x" * 5_000 + '"}}]}', Answer(1))


def test_events_are_cut_out_of_any_chunks() -> None:
    stream = b": PROCESSING\n\ndata: one\r\n\n\ndata:two\nevent: x\ndata: three"
    lines = Lines()
    found = [line for n in range(len(stream)) for line in lines.feed(stream[n : n + 1])]
    assert found == ["one", "two"]
    assert list(lines.feed(b"\n")) == ["three"]
