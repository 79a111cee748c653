"""An actor that is taken over cannot end a process, touch a mission that it does not name, or go unnamed."""

from __future__ import annotations

import pytest

from actors.desk.chaos import play_taken
from actors.table import TABLE

SEEDS = 16


@pytest.mark.parametrize("process", TABLE.processes)
def test_whatever_a_taken_actor_writes_what_is_promised_holds(process: str) -> None:
    for seed in range(SEEDS):
        play_taken(seed, process)
