"""Why nothing is written, from the ends of the actors' logs."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from actors.cli.complaints import why_nothing_is_written

NOW = datetime(2026, 11, 22, 8, 0, 0, tzinfo=UTC)


def line(age_s: int, event: str = "store.refused", **more: object) -> str:
    stamp = (NOW - timedelta(seconds=age_s)).isoformat().replace("+00:00", "Z")
    return json.dumps({"timestamp": stamp, "event": event, "error": "no room", **more})


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (line(10), "qa cannot write: no room"),
        (line(10, "publish.unanswered"), "qa cannot write: no room"),
        (line(200), ""),
        (line(10, "hold.granted"), ""),
        (line(10, error="\x1b[2Jno\nroom"), "qa cannot write: no room"),
        ("Traceback", ""),
        ("[" * 2000, ""),
        ('{"timestamp": 1, "event": "store.refused"}', ""),
        ('{"timestamp": "2026-11-22T08:00:00", "event": "store.refused", "error": "x"}', ""),
    ],
)
def test_only_a_fresh_complaint_is_told(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "qa.jsonl").write_text(f"{line(5, 'actor.started')}\n{text}\n")
    (tmp_path / "coo.jsonl").write_text("")
    assert why_nothing_is_written(tmp_path, NOW) == said


def test_without_logs_nothing_is_told(tmp_path: Path) -> None:
    assert why_nothing_is_written(tmp_path / "nothing", NOW) == ""
