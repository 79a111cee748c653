"""Short slices of the storms; `make storm` runs the long ones."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent))

import mission_storm
import money_storm
import waiting_missions


@pytest.mark.slow
def test_no_money_is_lost_or_overspent_when_callers_guards_and_server_are_killed(tmp_path: Path) -> None:
    cap = 80 * money_storm.MOST_HELD // 12
    found = money_storm.storm(tmp_path, holds=80, seed=7, cap=cap, pause_s=(0.2, 0.9))
    print(found)
    assert found["booked_microusd"] >= found["metered_microusd"] > 0
    assert found["exact"] > 0


@pytest.mark.slow
@pytest.mark.parametrize(
    ("missions", "plan"),
    [
        (10, mission_storm.Plan(kills=6, server_kills=1)),
        (5, mission_storm.Plan(sleeps=1)),
        (12, mission_storm.Plan(kills=2, cancels=12)),
    ],
    ids=["kills", "sleep", "cancels"],
)
def test_missions_end_as_in_a_calm_run_or_are_cancelled_and_silent(
    tmp_path: Path, missions: int, plan: mission_storm.Plan
) -> None:
    found = mission_storm.storm(tmp_path, missions, seed=5, plan=plan)
    print(found)
    assert sum(found["states"].values()) == missions
    assert found.get("sleeps", 0) == plan.sleeps
    if plan.cancels:
        assert found["states"]["cancelled"] > 0
        assert found["most_after_an_end"] < 20


@pytest.mark.slow
def test_missions_that_wait_go_on_after_every_actor_was_killed(tmp_path: Path) -> None:
    found = waiting_missions.play(tmp_path, missions=40, seed=3, ask="raise")
    print(found)
    assert found["states"] == {"completed": 2 * waiting_missions.FEW, "cancelled": 40}
