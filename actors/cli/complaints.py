"""What the actors of this machine say of a store that takes no more, for whoever waits for them.

A mission whose actors cannot write is silent in the log; their own logs are the only place that says why.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

from actors.host.logtail import tail
from actors.plain import plain

_FRESH = timedelta(seconds=90)
"""It is logged once a minute for as long as it lasts (`bus.acked`)."""

_EVENTS = ("store.refused", "publish.unanswered")


def why_nothing_is_written(logs: Path, now: datetime | None = None) -> str:
    """Return who cannot write and why, of the end of each actor's log; empty if nobody complains."""
    since = (now or datetime.now(UTC)) - _FRESH
    for path in sorted(logs.glob("*.jsonl")):
        for line in tail(path, 0).splitlines():
            if said := _complaint(line, since):
                return f"{path.stem} cannot write: {plain(said, 300)}"
    return ""


def _complaint(line: str, since: datetime) -> str:
    try:
        fields = json.loads(line)
        fresh = datetime.fromisoformat(fields["timestamp"]) >= since
        return str(fields["error"]) if fresh and fields["event"] in _EVENTS else ""
    except (ValueError, KeyError, TypeError, RecursionError):  # another line, or a part of one
        return ""
