"""How the missions of a log ended, and what was written of them after that."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

import msgspec

from actors import messages as m
from bus.envelope import Stored


@dataclass(frozen=True)
class End:
    """How a mission ended: its state, its files' sha256, what was settled, and worst cases in doubt."""

    state: str
    files: tuple[tuple[str, str], ...]
    settled: int
    in_doubt: int = 0


def ends(log: list[Stored]) -> dict[str, End]:
    """Return how every mission of a log ended; a second copy of a letter counts once."""
    newest: dict[str, m.Status] = {}
    settled: dict[str, dict[str, int]] = defaultdict(dict)
    held: dict[str, dict[str, int]] = defaultdict(dict)
    sent: dict[str, set[str]] = defaultdict(set)
    for stored in log:
        _, _, mission, _, kind, _ = stored.subject.split(".")
        match kind:
            case "status":
                status = msgspec.json.decode(stored.body, type=m.Status)
                if mission not in newest or status.at >= newest[mission].at:
                    newest[mission] = status
            case "granted":
                granted = msgspec.json.decode(stored.body, type=m.Granted)
                held[mission][granted.attempt] = granted.microusd
            case "sent":
                sent[mission].add(msgspec.json.decode(stored.body, type=m.Sent).attempt)
            case "settle":
                bill = msgspec.json.decode(stored.body, type=m.Settle)
                settled[mission][bill.attempt] = bill.microusd
            case "void":
                sent[mission].discard(msgspec.json.decode(stored.body, type=m.Void).attempt)
    return {
        name: End(
            status.state,
            tuple(sorted((path, ref.digest) for path, ref in status.deliverable.items())),
            sum(settled[name].values()),
            sum(held[name][attempt] for attempt in sent[name] - set(settled[name])),
        )
        for name, status in newest.items()
    }


def copies(log: list[Stored]) -> int:
    """Count second copies of letters, each of which must be the very same."""
    first: dict[tuple[str, str], Stored] = {}
    found = 0
    for stored in log:
        name = (stored.subject, stored.headers["ce-id"])
        if name in first:
            found += 1
            assert stored.body == first[name].body, f"message {stored.seq} is another {first[name].seq}"
        first.setdefault(name, stored)
    return found


def after_the_end(log: list[Stored]) -> dict[str, list[Stored]]:
    """Return what was written of each mission after its final status, but for farewells and checkpoints."""
    ended: dict[str, list[Stored]] = {}
    for stored in log:
        _, _, mission, _, kind, _ = stored.subject.split(".")
        if mission in ended and kind not in ("close", "checkpoint", "control", "declined"):
            ended[mission].append(stored)
        elif kind == "status" and msgspec.json.decode(stored.body, type=m.Status).state in m.FINAL:
            ended.setdefault(mission, [])
    return ended
