"""`coo chaos`: prove the core under a seeded scheduler, on this machine, without a server."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Annotated

import typer

from actors.desk.errors import DeskError, Exit
from actors.desk.main import JsonOption

if TYPE_CHECKING:
    from collections.abc import Iterator


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("chaos")(chaos)


def chaos(
    seed: Annotated[int, typer.Option("--seed", min=0, help="The first seed.")] = 0,
    runs: Annotated[int, typer.Option("--runs", min=1, help="How many seeds, one after the other.")] = 100,
    sweep: Annotated[
        bool, typer.Option("--sweep", help="Instead: kill each actor once at each of its steps.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Play a mission in memory under crashes, delays and lost answers; a failing seed reproduces exactly."""
    started = time.monotonic()
    count = 0
    for name, error in _sweep() if sweep else _seeds(seed, runs):
        count += 1
        if error is not None:
            raise DeskError(Exit.FAILED, f"{name}: {error}", f"See it again: coo chaos {name}")
    result = {"runs": count, "failures": 0, "seconds": round(time.monotonic() - started, 1)}
    print(json.dumps(result) if as_json else f"{count} runs without a failure in {result['seconds']} s")


def _seeds(seed: int, runs: int) -> Iterator[tuple[str, Exception | None]]:
    from actors.chaos.simulation import Failed, simulate

    for number in range(seed, seed + runs):
        try:
            simulate(number, replicas=1 + number % 3 % 2)
        except Failed as error:
            yield f"--seed {number} --runs 1", error
        else:
            yield f"--seed {number}", None


def _sweep() -> Iterator[tuple[str, Exception | None]]:
    from actors.chaos.faults import CALM
    from actors.chaos.simulation import Failed, calm, simulate

    for actor, steps in calm().steps.items():
        for step in range(1, steps + 1):
            try:
                simulate(0, CALM, crash=(actor, step))
            except Failed as error:
                yield f"--sweep ({actor} at step {step})", error
            else:
                yield "--sweep", None
