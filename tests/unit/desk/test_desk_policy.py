"""What decides about a mission is the company's settings, whatever this terminal's own say."""

from __future__ import annotations

import copy
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors import messages as m
from actors.desk.limits import settings_limits
from actors.desk.mission import Wish, read, settle
from actors.desk.terms import KEYS, company_settings, overruled
from actors.errors import Kind, UserError
from actors.host.launch import wanted
from actors.table import TABLE
from config.settings import Settings, load, origins
from config.split import part
from config.tree import leaves

REAL = {
    "provider": "openai",
    "base_url": "http://127.0.0.1:1/v1",
    "max_output_tokens": 9_000,
    "context_tokens": 100_000,
    "timeout_s": 60,
}
PRICE = {
    "input_usd_per_mtok": "1.00",
    "output_usd_per_mtok": "4.00",
    "cache_hit_usd_per_mtok": "0.50",
    "peak": {
        "input_usd_per_mtok": "2.00",
        "output_usd_per_mtok": "8.00",
        "cache_hit_usd_per_mtok": "1.00",
        "windows": ["daily 09:00-17:00"],
    },
}
LIST = {"as_of": "2026-11-01", "note": "made up", "models": {"real": PRICE}}
BASE: dict[str, Any] = {
    "models": {"roles": {"engineer": "real"}, "catalog": {"real": REAL}},
    "prices": {"providers": {"openai": LIST, "scripted": {"models": {"real": PRICE}}}},
}
"""Every optional key is there, so that each can be changed."""

SAYS_NOTHING = {"prices.providers.<name>.note"}
"""Read by people alone."""


@pytest.fixture(autouse=True)
def _own_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))


def with_key(tree: dict[str, Any], key: str, value: object) -> dict[str, Any]:
    changed = copy.deepcopy(tree)
    at = changed
    *above, last = key.split(".")
    for name in above:
        at = at.setdefault(name, {})
    at[last] = value
    return changed


def other(key: str, annotation: object, value: Any) -> object:
    """Return another right value of a setting."""
    choices = [c for arg in (annotation, *get_args(annotation)) for c in literals(arg)]
    if isinstance(value, tuple):
        return {"ask": ["release"], "windows": ["sat 22:00-24:00"], "key_env": ["SOME_KEY"]}[
            key.split(".")[-1]
        ]
    if choices:
        return next(choice for choice in choices if choice != value)
    if key.startswith("models.roles."):
        return "real" if value == "scripted" else "scripted"
    if key.endswith("as_of"):
        return "2026-10-01"
    if value is None:
        return "SOME_KEY" if key.endswith("key_env") else 77_777
    if isinstance(value, str):
        return str(Decimal(value) + 1) if value.replace(".", "").isdigit() else f"{value}x"
    return value + 1


def literals(annotation: object) -> tuple[Any, ...]:
    return get_args(annotation) if get_origin(annotation) is Literal else ()


def every_key() -> list[tuple[str, object]]:
    names = {"models.catalog": "real", "prices.providers": "openai", "prices.providers.openai.models": "real"}
    found = []
    for key, field in leaves(Settings):
        if key == "actors.<name>":
            continue  # what actors of packages are told is theirs
        for above, name in names.items():
            key = key.replace(f"{above}.<name>", f"{above}.{name}")
        found.append((key, field.annotation))
    return found


def handed_out(settings: Settings) -> tuple[object, ...]:
    """Return all that a company tells anybody of its settings."""
    parts = [part(settings, actor, TABLE.needs_of(actor)) for actor in TABLE.processes]
    return company_settings(settings), settings_limits(settings), wanted(settings), parts


@pytest.mark.parametrize(("key", "annotation"), every_key())
def test_every_setting_of_the_company_reaches_a_mission_an_actor_or_the_server(
    key: str, annotation: object
) -> None:
    before = load(overrides=BASE)
    value = next(origin.value for origin in origins(overrides=BASE) if origin.key == key)
    changed = with_key(BASE, key, other(key, annotation, value))
    told = handed_out(load(overrides=changed)) != handed_out(before)
    assert told or key.replace("openai", "<name>") in SAYS_NOTHING


def test_every_term_of_a_mission_has_its_setting() -> None:
    assert set(KEYS) == {field.name for field in msgspec.structs.fields(m.Terms)} - {"priority"}
    known = {key for key, _ in leaves(Settings)}
    assert all(key in known or any(one.startswith(f"{key}.") for one in known) for key in KEYS.values())


wishes = st.builds(
    Wish,
    goal=st.just("x"),
    budget=st.sampled_from([None, "2.00"]),
    approve=st.sampled_from([None, "release", "none"]),
    model=st.sampled_from([None, "real", "scripted"]),
    deadline=st.sampled_from([None, "2h"]),
    priority=st.integers(-100, 100),
)
choices = st.lists(st.sampled_from([key for key, _ in every_key()]), unique=True, max_size=8)


@settings(max_examples=50)
@given(wish=wishes, keys=choices)
def test_an_option_changes_its_own_term_and_never_what_the_company_asks_for(
    wish: Wish, keys: list[str]
) -> None:
    tree = BASE
    for key, annotation in every_key():
        if key in keys and not key.startswith(("models.catalog", "models.roles", "prices")):
            value = next(origin.value for origin in origins() if origin.key == key)
            tree = with_key(tree, key, other(key, annotation, value))
    company = company_settings(load(overrides=tree))
    if wish.approve == "none" and company.terms.ask_release:
        with pytest.raises(UserError, match="asks before every release") as raised:
            settle(read(wish), company)
        assert raised.value.kind is Kind.USAGE
        return
    order = settle(read(wish), company)
    terms = msgspec.structs.asdict(order.mission.terms)
    optional = {
        "priority": True,
        "deadline_s": wish.deadline is not None,
        "models": wish.model is not None,
        "max_output_tokens": wish.model is not None,
        "ask_release": wish.approve == "release",
    }
    for name, value in msgspec.structs.asdict(company.terms).items():
        assert terms[name] == value or optional.get(name, False)
    assert order.mission.terms.ask_release >= company.terms.ask_release
    assert order.by_default == (wish.budget is None)
    assert not order.by_default or order.mission.budget_microusd == company.mission_microusd


def test_a_terminals_own_file_and_variables_are_named_when_they_differ(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "coo").mkdir()
    (tmp_path / "coo" / "config.yaml").write_text(
        "mission:\n  max_rounds: 7\n  max_tasks: 8\nlog: {level: debug}\n"
    )
    monkeypatch.setenv("COO_LIMITS__MISSION_USD", "3.00")
    company = company_settings(load(tmp_path / "coo" / "config.yaml", {"mission": {"max_rounds": 3}}))
    company = msgspec.structs.replace(company, mission_microusd=1_000_000)
    line = overruled(company, company_settings(load()), origins())
    assert line == (
        "the company's settings count, not this terminal's limits.mission_usd (COO_LIMITS__MISSION_USD), "
        f"mission.max_rounds ({tmp_path}/coo/config.yaml:2)"
    )
    assert "\n" not in line
    assert overruled(company_settings(load()), company_settings(load()), origins()) == ""
