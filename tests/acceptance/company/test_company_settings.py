"""A mission is given under the settings that its company was started with, whatever its terminal's say."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from acceptance.running import Company, in_loop

from actors import messages as m
from actors.desk.terms import company_settings
from bus.jetstream import connect
from config.settings import load

COMPANY = """
limits: {mission_usd: "0.50", safety_margin_percent: 5}
mission:
  {max_tasks: 4, max_rounds: 2, max_loops: 9, max_messages: 900, run_timeout_s: 30, deadline_s: 3600,
   pause_timeout_s: 1800, park_after_s: 60, call_tokens: 50000, role_tokens: {engineer: 90000}}
approvals: {ask: [release, raise], on_new_day: wait, timeout_s: 1800}
models:
  roles: {coo: real, engineer: real, qa: real}
  catalog:
    real: {provider: openai, base_url: "http://127.0.0.1:1/v1", max_output_tokens: 8001,
           context_tokens: 131072, timeout_s: 60}
prices:
  providers:
    openai: {as_of: null, note: made up, models: {real: {input_usd_per_mtok: "1", output_usd_per_mtok: "4"}}}
"""
TERMINAL = """
limits: {mission_usd: "7.00", safety_margin_percent: 1}
mission:
  {max_tasks: 5, max_rounds: 5, max_loops: 5, max_messages: 500, run_timeout_s: 55, deadline_s: 5555,
   pause_timeout_s: 5555, park_after_s: 55, call_tokens: 55555, role_tokens: {qa: 55555}}
approvals: {ask: [], on_new_day: resume, timeout_s: 5555}
"""


@pytest.fixture
def company(tmp_path: Path) -> Iterator[Company]:
    company = Company(tmp_path)
    yield company
    company.close()


def given(company: Company, name: str) -> m.Mission:
    """Return a mission as the log has it."""

    async def ask() -> m.Mission:
        ceo = await connect(company.url, user="ceo", password=company.credentials["ceo"])
        try:
            stored = await ceo.last("COO", f"coo.m.{name}.coo.mission.ceo")
            assert stored is not None
            return msgspec.json.decode(stored.body, type=m.Mission)
        finally:
            await ceo.close()

    return in_loop(ask)


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_what_the_company_was_started_with_counts_and_the_terminals_own_is_named(
    company: Company, tmp_path: Path
) -> None:
    file = write(tmp_path, "company.yaml", COMPANY)
    expected = company_settings(load(file))
    company.start("--config", str(file))
    write(tmp_path, "home/.config/coo/config.yaml", TERMINAL)
    own = {"COO_MISSION__MAX_TASKS": "6"}
    done = company.coo("mission", "Write fizzbuzz", env=own)
    assert done.returncode == 0, done.stderr
    mission = given(company, done.stdout.strip())
    assert (mission.terms, mission.budget_microusd) == (expected.terms, 500_000)
    assert mission.terms.ask_release
    named = [line for line in done.stderr.splitlines() if "the company's settings count" in line]
    assert len(named) == 1
    assert "limits.mission_usd (" in named[0]
    assert "and 10 more" in named[0]

    chosen = company.coo("mission", "x", "--budget", "2", "--deadline", "2h", "--model", "scripted", env=own)
    mission = given(company, chosen.stdout.strip())
    assert (mission.budget_microusd, mission.terms.deadline_s) == (2_000_000, 7_200)
    assert set(mission.terms.models.values()) == {"scripted"}
    assert mission.terms.ask_release
    refused = company.coo("mission", "x", "--approve", "none")
    assert refused.returncode == 2
    assert "this company asks before every release" in refused.stderr
    unknown = company.coo("mission", "x", "--model", "gpt")
    assert "There is: real, scripted." in unknown.stderr


def published(company: Company) -> list[Any]:
    async def ask() -> list[Any]:
        ceo = await connect(company.url, user="ceo", password=company.credentials["ceo"])
        try:
            page = await ceo.read("COO", "coo.m.company.ceo.settings.ceo", 1)
            return [msgspec.json.decode(stored.body) for stored in page]
        finally:
            await ceo.close()

    return in_loop(ask)


def test_settings_are_published_when_they_change_and_the_newest_count(company: Company) -> None:
    for rounds, count in (("3", 1), ("3", 1), ("2", 2), ("3", 3)):
        company.env["COO_MISSION__MAX_ROUNDS"] = rounds
        company.start()
        assert len(published(company)) == count
        done = company.coo("mission", "x", "--budget", "1", env={"COO_MISSION__MAX_ROUNDS": "9"})
        assert given(company, done.stdout.strip()).terms.max_rounds == int(rounds)
        assert company.stop() == 0
    assert company.start()
    verified = company.coo("verify", "--all")
    assert verified.returncode == 0, verified.stdout + verified.stderr
    assert company.coo("audit").returncode == 0
