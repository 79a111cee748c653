"""`coo config`: what is in force, where it was set, and whether a file is right."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from acceptance.running import Company


@pytest.fixture
def company(tmp_path: Path) -> Company:
    return Company(tmp_path, simple=False)


@pytest.fixture
def own(company: Company, tmp_path: Path) -> Path:
    file = tmp_path / "home" / ".config" / "coo" / "config.yaml"
    file.parent.mkdir(parents=True)
    file.write_text('limits:\n  daily_usd: "3.00"\n')
    return file


def test_it_shows_what_is_in_force(company: Company, own: Path) -> None:
    tree = company.json("config", "show", env={"COO_LIMITS__MISSION_USD": "0.10"})
    money = {"daily_usd": "3.00", "monthly_usd": "200.00", "mission_usd": "0.10"}
    assert tree["limits"] == {**money, "safety_margin_percent": 0, "call_tokens": None, "slots": 5}
    shown = company.coo("config", "show").stdout.splitlines()
    assert 'limits.daily_usd: "3.00"' in shown
    assert "bus.ack_wait_s: 10" in shown


def test_it_shows_where_each_value_was_set(company: Company, own: Path) -> None:
    told = company.json("config", "show", "--origin", env={"COO_LIMITS__MISSION_USD": "0.10"})
    origins = {each["key"]: each["origin"] for each in told}
    assert origins["limits.daily_usd"] == f"{own}:2"
    assert origins["limits.monthly_usd"].startswith("config/company.yaml:")
    assert origins["limits.mission_usd"] == "COO_LIMITS__MISSION_USD"
    assert f"# {own}:2" in company.coo("config", "show", "--origin").stdout


def test_it_says_where_the_file_is_looked_for(company: Company, tmp_path: Path) -> None:
    path = tmp_path / "home/.config/coo/config.yaml"
    assert company.coo("config", "path").stdout == f"{path}\n"
    assert company.json("config", "path") == {"path": str(path), "exists": False}


def test_a_file_that_is_right_is_right(company: Company, own: Path) -> None:
    assert company.coo("config", "validate", str(own)).stdout == f"{own}: right\n"
    assert company.json("config", "validate") == {"file": str(own), "valid": True, "problems": []}


def test_without_a_file_the_defaults_are_right(company: Company) -> None:
    done = company.coo("config", "validate")
    assert done.returncode == 0
    assert done.stdout.endswith("not there; the defaults are right\n")


def test_every_problem_of_a_file_is_one_line(company: Company, tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("limits:\n  daily_usd: -1\nbus:\n  ack_wait_s: soon\n")
    done = company.coo("config", "validate", str(file))
    assert done.returncode == 2
    assert f"{file}:2: limits.daily_usd" in done.stderr
    assert f"{file}:4: bus.ack_wait_s" in done.stderr
    assert "Traceback" not in done.stderr
    told = company.coo("config", "validate", str(file), "--json")
    assert told.returncode == 2
    assert [each["place"] for each in json.loads(told.stdout)["problems"]] == [f"{file}:2", f"{file}:4"]


def test_a_variable_that_is_wrong_is_named(company: Company) -> None:
    done = company.coo("config", "show", env={"COO_BUS__WINDOW": "many"})
    assert done.returncode == 2
    assert "COO_BUS__WINDOW: bus.window" in done.stderr


def test_a_file_that_is_not_there_is_named(company: Company) -> None:
    done = company.coo("config", "validate", "/nowhere/mine.yaml")
    assert done.returncode == 2
    assert "/nowhere/mine.yaml: cannot be read" in done.stderr
