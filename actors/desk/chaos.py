"""`coo chaos`: prove the core under a seeded scheduler, on this machine, without a server."""

from __future__ import annotations

import json
import os
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import TYPE_CHECKING, Annotated

import typer

from actors.desk.errors import DeskError, Exit
from actors.desk.main import JsonOption

if TYPE_CHECKING:
    from collections.abc import Iterator


Run = tuple[int, str, int]
"""A seed; or, with an actor, the step at which that one is killed; or, with a word, when the CEO says it."""

_CEO = "ceo: "
_CHUNK = 8
"""Runs that a process is handed at once."""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("chaos")(chaos)


def chaos(
    seed: Annotated[int, typer.Option("--seed", min=0, help="The first seed.")] = 0,
    runs: Annotated[int, typer.Option("--runs", min=1, help="How many seeds, from that one on.")] = 100,
    sweep: Annotated[
        bool,
        typer.Option(
            "--sweep", help="Instead: kill each actor at each step, say each word after each message."
        ),
    ] = False,
    jobs: Annotated[int, typer.Option("--jobs", min=0, help="Processes at once; 0: one a core.")] = 0,
    as_json: JsonOption = False,
) -> None:
    """Play a mission in memory under crashes, delays and lost answers; a failing seed reproduces exactly."""
    started = time.monotonic()
    work: list[Run] = (
        [*_kills(), *_words()] if sweep else [(number, "", 0) for number in range(seed, seed + runs)]
    )
    for run, failure in zip(work, _played(work, jobs), strict=True):
        if failure:
            number, actor, step = run
            again = "--sweep" if actor else f"--seed {number} --runs 1"
            told = f"{actor.removeprefix(_CEO)} said after message {step}"
            killed = told if actor.startswith(_CEO) else f"{actor} killed at step {step}"
            what = killed if actor else f"seed {number}"
            raise DeskError(Exit.FAILED, f"{what}: {failure}", f"See it again: coo chaos {again}")
    result = {"runs": len(work), "failures": 0, "seconds": round(time.monotonic() - started, 1)}
    print(json.dumps(result) if as_json else f"{len(work)} runs without a failure in {result['seconds']} s")


def _played(work: list[Run], jobs: int) -> Iterator[str]:
    """Yield what each run failed with, "" for nothing, in order; played by as many processes as told."""
    jobs = min(jobs or len(os.sched_getaffinity(0)), -(-len(work) // _CHUNK))
    if jobs == 1:
        yield from map(play, work)
        return
    with ProcessPoolExecutor(jobs, get_context("spawn")) as pool:
        try:
            yield from pool.map(play, work, chunksize=_CHUNK)
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def play(run: Run) -> str:
    """Play one run and return what it failed with, "" for nothing."""
    from actors.chaos.ceo import Said
    from actors.chaos.faults import CALM
    from actors.chaos.simulation import simulate

    number, actor, step = run
    try:
        if actor.startswith(_CEO):
            simulate(0, CALM, words=[Said(step, actor.removeprefix(_CEO))])
        elif actor:
            simulate(0, CALM, crash=(actor, step))
        else:
            simulate(number, replicas=1 + number % 3 % 2)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return ""


def _kills() -> list[Run]:
    from actors.chaos.simulation import calm

    return [(0, actor, step) for actor, steps in calm().steps.items() for step in range(1, steps + 1)]


def _words() -> list[Run]:
    from actors.chaos.ceo import WORDS, Said
    from actors.chaos.faults import CALM
    from actors.chaos.simulation import simulate

    undisturbed = simulate(0, CALM, words=[Said(10**6, "pause")])
    return [(0, _CEO + word, step) for word in WORDS for step in range(2, undisturbed.messages + 1)]
