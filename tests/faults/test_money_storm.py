"""A short slice of the storm; the long one is `python tests/faults/money_storm.py --holds 1000`."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent))

from money_storm import MOST_HELD, storm


@pytest.mark.storm
def test_no_money_is_lost_or_overspent_when_callers_guards_and_server_are_killed(tmp_path: Path) -> None:
    found = storm(tmp_path, holds=120, seed=7, cap=120 * MOST_HELD // 12, pause_s=(0.2, 0.9))
    print(found)
    assert found["booked_microusd"] >= found["metered_microusd"] > 0
    assert found["exact"] > 0
