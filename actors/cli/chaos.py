"""`coo chaos`: prove the core under a seeded scheduler, on this machine, without a server."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Annotated

import typer

from actors.chaos.blame import blamed
from actors.chaos.ceo import WORDS, Said
from actors.chaos.faults import CALM
from actors.chaos.seeded import calm, simulate
from actors.chaos.shown import Failed
from actors.chaos.simulation import FIRST
from actors.chaos.taken import attacked
from actors.cli.options import JsonOption
from actors.errors import Kind, UserError
from actors.projections.audit import prove
from actors.projections.guard import letters_in
from actors.table import TABLE

Run = tuple[int, str, int]
"""A seed; with an actor, the step at which that one is killed, or 0 if it is taken over; with a word, the
message right after which the CEO says it."""

_CEO = "ceo: "
_CHUNK = 8
"""Runs that a process is handed at once."""


def chaos(
    seed: Annotated[int, typer.Option("--seed", min=0, help="The first seed.")] = 0,
    runs: Annotated[int, typer.Option("--runs", min=1, help="How many seeds, from that one on.")] = 100,
    sweep: Annotated[
        bool,
        typer.Option(
            "--sweep", help="Instead: kill each actor at each step, say each word after each message."
        ),
    ] = False,
    taken: Annotated[
        str, typer.Option("--taken", metavar="ACTOR", help="Instead: somebody writes with its account.")
    ] = "",
    jobs: Annotated[int, typer.Option("--jobs", min=0, help="Processes at once; 0: one a core.")] = 0,
    as_json: JsonOption = False,
) -> None:
    """Play a mission in memory under crashes, delays and lost answers; a failing seed reproduces exactly."""
    started = time.monotonic()
    _check_taken(taken, sweep)
    seeds: list[Run] = [(number, taken, 0) for number in range(seed, seed + runs)]
    work = [*_kills(), *_words()] if sweep else seeds
    for run, failure in zip(work, _played(work, jobs), strict=True):
        if failure:
            what, again = _told(run)
            raise UserError(Kind.FAILED, f"{what}: {failure}", f"See it again: coo chaos {again}")
    result = {"runs": len(work), "failures": 0, "seconds": round(time.monotonic() - started, 1)}
    print(json.dumps(result) if as_json else f"{len(work)} runs without a failure in {result['seconds']} s")


def _told(run: Run) -> tuple[str, str]:
    """Return what a run was, and the options that play it again."""
    number, actor, step = run
    if actor.startswith(_CEO):
        return f"{actor.removeprefix(_CEO)} said after message {step}", "--sweep"
    if step:
        return f"{actor} killed at step {step}", "--sweep"
    again = f"--seed {number} --runs 1"
    return (
        (f"seed {number}, {actor} taken", f"{again} --taken {actor}") if actor else (f"seed {number}", again)
    )


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

    number, actor, step = run
    try:
        if actor.startswith(_CEO):
            simulate(0, CALM, words=[Said(step, actor.removeprefix(_CEO))])
        elif step:
            simulate(0, CALM, crash=(actor, step))
        elif actor:
            play_taken(number, actor)
        else:
            simulate(number, replicas=1 + number % 3 % 2)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return ""


def play_taken(seed: int, actor: str, messages: int = 60) -> None:
    """Play two missions while somebody writes with an actor's account; `coo audit` must blame only that.

    Raises:
        Failed: something does not hold that is promised.
    """
    company = attacked(seed, actor, replicas=1 + seed % 3 % 2, messages=messages)
    proof = prove(letters_in(company.server.stream("COO").messages), company.newest["budget"])
    if wrong := blamed(proof.violations, company.forged["COO"]):
        raise Failed(wrong)


def _check_taken(actor: str, sweep: bool) -> None:
    if actor and sweep:
        raise UserError(Kind.USAGE, "--sweep and --taken play different runs.", "Give one of them.")
    if actor and actor not in TABLE.processes:
        names = ", ".join(TABLE.processes)
        raise UserError(Kind.USAGE, f"{actor!r} is not an actor.", f"Choose one of {names}.")


def _kills() -> list[Run]:
    return [(0, actor, step) for actor, steps in calm().steps.items() for step in range(1, steps + 1)]


def _words() -> list[Run]:
    undisturbed = simulate(0, CALM, words=[Said(10**6, "pause")])
    return [(0, _CEO + word, step) for word in WORDS for step in range(FIRST, undisturbed.messages + 1)]
