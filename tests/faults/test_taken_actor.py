"""A short slice of the attack by a taken actor on a company; `python tests/faults/taken_actor.py` is long."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent))

import taken_actor


@pytest.mark.slow
def test_a_company_survives_a_taken_engineer_and_names_what_it_wrote(tmp_path: Path) -> None:
    found = taken_actor.attack(tmp_path, "engineer", messages=120, seed=3, missions=2)
    print(found)
    assert found["states"] == {"completed": 2}
    assert found["named_by_verify"] > 30
