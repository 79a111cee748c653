"""What the CEO orders is checked before anything is published."""

from __future__ import annotations

import io
from pathlib import Path

import msgspec
import pytest

from actors import messages as m
from actors.desk.durations import read_duration
from actors.desk.mission import Wish, mission_id, read_budget, read_goal, resolve
from actors.errors import Kind, UserError


@pytest.fixture(autouse=True)
def _own_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))


def refused(wish: Wish) -> str:
    with pytest.raises(UserError) as raised:
        resolve(wish)
    assert raised.value.kind is Kind.USAGE
    assert "\n" not in raised.value.what
    return raised.value.what


@pytest.mark.parametrize(
    ("budget", "why"),
    [
        ("0", "a mission needs more than 0.00"),
        ("-1", "-1 is not an amount"),
        ("NaN", "NaN is not an amount"),
        ("inf", "inf is not an amount"),
        ("2,00", "2,00 is not an amount"),
        ("two", "two is not an amount"),
        ("", "is not an amount"),
        ("0.0000001", "finer than a micro-dollar"),
        ("1e999999", "not an amount"),
        ("1e30", "1e30 is not an amount"),
        ("1" + "0" * 30, "more than COO keeps accounts for"),
        ("\x1b[2J", "is not an amount"),
        ("1_000", "1_000 is not an amount"),
        ("1e2", "1e2 is not an amount"),
        ("1." + "0" * 40 + "1", "finer than a micro-dollar"),
        ("٢", "is not an amount"),
    ],
)
def test_what_is_no_budget_is_refused_in_one_line(budget: str, why: str) -> None:
    said = refused(Wish(goal="x", budget=budget))
    assert why in said
    assert "\x1b" not in said


def test_a_budget_is_micro_dollars() -> None:
    assert read_budget("2.000001") == 2_000_001


def test_a_mission_without_a_budget_gets_that_of_the_settings() -> None:
    assert resolve(Wish(goal="x")).mission.budget_microusd == 1_000_000


@pytest.mark.parametrize("goal", ["", "  \n\t"])
def test_an_empty_goal_is_refused(goal: str) -> None:
    assert refused(Wish(goal=goal)) == "The goal is empty."


def test_a_goal_above_16_kib_is_refused_with_its_size() -> None:
    assert read_goal("é" * 8192) == "é" * 8192
    assert "16386 bytes" in refused(Wish(goal="é" * 8193))


def test_a_goal_is_read_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "goal.md").write_text("\nBuild it.\n")
    assert read_goal(f"@{tmp_path}/goal.md") == "Build it."


@pytest.mark.parametrize("name", ["@/nowhere/goal", "@/", "@", "@\x00"])
def test_a_file_that_cannot_be_read_is_named(name: str) -> None:
    assert refused(Wish(goal=name)).startswith("Cannot read the goal from ")


def test_a_file_without_end_is_refused() -> None:
    assert "more than 1048576 bytes" in refused(Wish(goal="@/dev/zero"))


def test_a_goal_is_read_from_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO("Größe\n".encode())))
    assert read_goal("-") == "Größe"


@pytest.mark.parametrize("goal", ["\udcff", "a\udce9b"])
def test_a_goal_that_is_no_utf_8_is_refused(goal: str) -> None:
    assert refused(Wish(goal=goal)) == "The goal (argument) is not UTF-8 text."


def test_an_unknown_model_or_approval_is_refused_with_what_there_is() -> None:
    with pytest.raises(UserError, match="there is no model gpt") as raised:
        resolve(Wish(goal="x", model="gpt"))
    assert (raised.value.kind, raised.value.fix) == (Kind.USAGE, "There is: scripted.")
    assert "--approve: plan is not known" in refused(Wish(goal="x", approve="plan"))


def test_wrong_settings_are_refused_with_their_place(tmp_path: Path) -> None:
    (tmp_path / "coo").mkdir()
    (tmp_path / "coo" / "config.yaml").write_text("mission:\n  max_task: 3\n")
    assert 'unknown key "max_task"' in refused(Wish(goal="x"))


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90", 90), ("90s", 90), ("30m", 1800), ("2h", 7200), ("1h30m", 5400), ("1d", 86_400)],
)
def test_a_duration_is_read(text: str, seconds: int) -> None:
    assert read_duration(text, "--timeout") == seconds


@pytest.mark.parametrize("text", ["", "0", "0s", "-1m", "1.5h", "m", "30 m", "400d", "9" * 40, "١h"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(UserError, match="is not a duration"):
        read_duration(text, "--timeout")


def test_the_terms_are_those_of_the_settings_unless_the_order_says_otherwise() -> None:
    models = {"coo": "scripted", "engineer": "scripted", "qa": "scripted"}
    settled = m.Terms(
        models=models, deadline_s=172_800, ask_raise=True, on_new_day="resume", park_after_s=600
    )
    assert resolve(Wish(goal="x")).mission.terms == settled
    asked = resolve(Wish(goal="x", approve="release", deadline="2h", model="scripted"))
    assert asked.mission.terms == msgspec.structs.replace(settled, deadline_s=7_200, ask_release=True)


def test_a_key_gives_the_same_id_for_ever_and_no_key_a_new_one() -> None:
    assert mission_id("nightly") == "m-whky2olwba2m"
    assert mission_id("nightly ") != mission_id("nightly")
    assert mission_id(None) != mission_id(None)


def test_an_empty_key_is_refused() -> None:
    assert refused(Wish(goal="x", key=" ")) == "--id needs a key that is not empty."
