"""A sandbox that knows the outcomes already: a simulation runs no programs.

The outcomes were recorded from real runs of the demo missions; a test records them anew and compares.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from pathlib import Path
from random import Random

from sandbox import Order, Outcome, Stream

RECORDED = Path(__file__).parent / "recorded.json"


def key_of(order: Order) -> str:
    """Name a run by what decides its outcome: the program, its files and its input."""
    files = sorted((path, hashlib.sha256(content).hexdigest()) for path, content in order.files.items())
    given = [order.argv, files, order.stdin.decode()]
    return hashlib.sha256(json.dumps(given).encode()).hexdigest()[:32]


class RecordedBackend:
    """Answers orders from a record of key -> [status, exit code, stdout, stderr].

    `failure` is the probability that the engine fails instead.
    """

    name = "bubblewrap"

    def __init__(self, record: dict[str, list[object]], chance: Random, failure: float = 0.0) -> None:
        self._record = record
        self._chance = chance
        self._failure = failure

    async def run(self, order: Order) -> Outcome:
        await asyncio.sleep(self._chance.uniform(0.02, 0.5))
        if self._chance.random() < self._failure:
            return Outcome(
                status="engine_error",
                exit_code=None,
                stdout=_stream(""),
                stderr=_stream(""),
                backend="bubblewrap",
                image_id="recorded",
                reason="the engine is gone",
                fix="coo resume",
            )
        status, exit_code, stdout, stderr = self._record[key_of(order)]
        return Outcome(
            status=status,  # type: ignore[arg-type]  # recorded of a real run
            exit_code=exit_code,  # type: ignore[arg-type]  # recorded of a real run
            stdout=_stream(str(stdout)),
            stderr=_stream(str(stderr)),
            backend="bubblewrap",
            image_id="recorded",
        )

    async def sweep(self, older_than_s: float = 0.0) -> tuple[str, ...]:
        return ()

    async def close(self) -> None: ...


def _stream(text: str) -> Stream:
    body = text.encode()
    return Stream(
        head=text, tail="", total_bytes=len(body), sha256=hashlib.sha256(body).hexdigest(), content=body
    )
