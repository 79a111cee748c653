"""Prices of peak hours: held at the dearest, booked by when the call was."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from actors.performers.model.catalog import ModelPart, ModelTerms
from actors.performers.model.pricing import Completion, affordable, bill_of, worst_of
from actors.table import TABLE
from config.parts import decode
from config.settings import ConfigError, load
from config.split import part
from config.week import week_minutes

PRICES = """
prices:
  providers:
    scripted:
      models:
        scripted:
          input_usd_per_mtok: "0.15"
          cache_hit_usd_per_mtok: "0.003"
          output_usd_per_mtok: "0.60"
          peak:
            windows: ["mon-fri 01:00-04:00", "mon-fri 06:00-10:00", "sun 23:00-24:00"]
            input_usd_per_mtok: "0.30"
            cache_hit_usd_per_mtok: "0.006"
            output_usd_per_mtok: "1.20"
"""
ANSWER = Completion("text", input_tokens=1_000_000, output_tokens=1_000_000, cached_tokens=500_000)
OFF_PEAK, PEAK = 75_000 + 1_500 + 600_000, 150_000 + 3_000 + 1_200_000


@pytest.fixture
def terms(tmp_path: Path) -> ModelTerms:
    file = tmp_path / "config.yaml"
    file.write_text(PRICES)
    config = decode(part(load(file), "engineer", TABLE.needs_of("engineer")))
    return msgspec.json.decode(config.parts["model"], type=ModelPart).models["scripted"]


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * 10**9


@pytest.mark.parametrize(
    ("began", "ended", "cost"),
    [
        ("2026-11-23 01:00:00", "2026-11-23 01:00:05", PEAK),  # a Monday
        ("2026-11-23 00:59:50", "2026-11-23 01:00:05", PEAK),  # its end touches the window
        ("2026-11-23 03:59:59", "2026-11-23 04:10:00", PEAK),  # its start does
        ("2026-11-23 00:30:00", "2026-11-23 05:00:00", PEAK),  # longer than the window
        ("2026-11-23 01:00:05", "2026-11-23 00:59:00", PEAK),  # the clock was put back meanwhile
        ("2026-11-23 04:00:00", "2026-11-23 05:59:59", OFF_PEAK),
        ("2026-11-21 02:00:00", "2026-11-21 02:00:05", OFF_PEAK),  # a Saturday
        ("2026-11-22 23:59:59", "2026-11-23 00:00:05", PEAK),  # over the end of the week
        ("2026-11-23 00:00:05", "2026-11-23 00:00:09", OFF_PEAK),
        ("2026-11-27 12:00:00", "2026-11-30 02:00:00", PEAK),  # from a Friday to the Monday after it
    ],
)
def test_a_call_is_booked_at_the_price_of_its_hours(
    terms: ModelTerms, began: str, ended: str, cost: int
) -> None:
    assert bill_of(terms, ANSWER, at(began), at(ended)).microusd == cost


def test_a_call_is_held_at_the_dearest_price_whenever_it_is_made(terms: ModelTerms) -> None:
    assert worst_of(terms, 1_000_000, 1_000_000) == 300_000 + 1_200_000
    assert affordable(terms, 1_000_000, 1_500_000) == 1_000_000


def test_the_provider_s_own_figure_counts_at_any_hour(terms: ModelTerms) -> None:
    told = Completion("text", input_tokens=1_000_000, output_tokens=0, microusd=7)

    assert bill_of(terms, told, at("2026-11-23 02:00:00"), at("2026-11-23 02:00:01")).microusd == 7


def test_days_of_a_window_may_run_over_the_end_of_the_week() -> None:
    saturday, day = 5 * 1440, 1440

    assert week_minutes("sat-mon 00:00-01:00") == (
        (saturday, saturday + 60),
        (saturday + day, saturday + day + 60),
        (0, 60),
    )
    assert len(week_minutes("daily 09:00-17:00")) == 7


@pytest.mark.parametrize(
    "window", ["", "mon", "mon-fri 1:00-4:00", "fun 01:00-02:00", "mon 04:00-01:00", "mon 23:00-24:01", "on"]
)
def test_what_is_no_window_is_refused_with_its_place(tmp_path: Path, window: str) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(PRICES.replace("sun 23:00-24:00", window))

    with pytest.raises(ConfigError, match=r"config.yaml:\d+: .*write \"mon-fri 01:00-04:00\""):
        load(file)
