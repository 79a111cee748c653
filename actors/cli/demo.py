"""`coo demo`: a company on data of its own, one scripted mission from goal to files, and nothing left."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from actors import messages as m
from actors.cli.console import Console, looking
from actors.cli.decide import gate_says
from actors.cli.exits import Exit
from actors.cli.follow import Watch
from actors.cli.options import JsonOption, run
from actors.cli.sandbox import finding_backend
from actors.cli.screen import out
from actors.cli.signals import until_signalled
from actors.desk.asking import answer_to, say
from actors.desk.mission import Wish, publish, resolve
from actors.desk.terms import company_settings
from actors.errors import Kind, UserError
from actors.host.datadir import DataDir
from actors.host.ephemeral import removed_afterwards
from actors.host.named import named_errors
from actors.host.session import password, session
from actors.plain import plain
from actors.process.logs import to_stderr
from actors.table import CALLERS
from bus.envelope import digest

if TYPE_CHECKING:
    from actors.host.launch import Company, Plan
    from bus.jetstream import JetStreamCarrier
    from config.settings import Settings

GOAL = "Build a CSV to JSON converter with tests"
BUDGET = "2.00"
NOTE = "approved by coo demo itself: nobody was asked"

_TIMEOUT_S = 120.0


def demo(
    keep: Annotated[
        bool, typer.Option("--keep", help="Leave the company running until Ctrl-C, to look at it.")
    ] = False,
    nats_server: Annotated[
        Optional[Path],
        typer.Option("--nats-server", help="The nats-server to run (COO_NATS_SERVER)."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Run a company for one scripted mission: no key, no cost, and nothing is left of it afterwards."""
    from actors.host.launch import Plan  # takes long to import

    settings = _settings()
    to_stderr()
    with named_errors(), removed_afterwards(None) as folder:
        plan = Plan(
            settings=settings,
            data_dir=DataDir(folder),
            ephemeral=True,
            port="auto",
            nats_server=str(nats_server) if nats_server else None,
        )
        code = run(_until_over(plan, Console(as_json), keep=keep, as_json=as_json))
    if not as_json:
        print("The company is stopped, its data removed.", flush=True)
    raise typer.Exit(code)


def _settings() -> Settings:
    """Return the user's settings, but with the scripted model, and without a key that it does not need."""
    from config.settings import ConfigError, load  # takes long to import

    scripted = {"roles": dict.fromkeys(CALLERS, "scripted"), "scripts": "", "key_env": []}
    limits = {"daily_usd": BUDGET, "monthly_usd": BUDGET, "mission_usd": BUDGET}
    try:
        return load(None, {"models": scripted, "limits": limits})
    except ConfigError as error:
        raise UserError(Kind.USAGE, str(error), "Correct it there.") from error


async def _until_over(plan: Plan, console: Console, *, keep: bool, as_json: bool) -> int:
    ended: list[Exit] = []

    async def work() -> None:
        await _demo(plan, console, ended, keep=keep, as_json=as_json)

    await until_signalled(work(), console.stopping)
    return int(ended[0] if ended else Exit.DETACHED)


async def _demo(plan: Plan, console: Console, ended: list[Exit], *, keep: bool, as_json: bool) -> None:
    from actors.host.launch import launched  # takes long to import

    began_s = time.monotonic()
    async with finding_backend(plan.settings.sandbox) as isolation, launched(plan, console.event) as company:
        console.ready(company, await isolation, time.monotonic() - began_s, hints=False)
        async with session(company.url, "ceo", password(plan.data_dir, "ceo")) as ceo:
            ended.append(await _mission(ceo, plan, as_json=as_json))
        _farewell(company, as_json=as_json, keep=keep)
        if keep:
            await company.wait()


async def _mission(ceo: JetStreamCarrier, plan: Plan, *, as_json: bool) -> Exit:
    """Give the mission, answer its gate, and show all of it."""
    wish = Wish(goal=GOAL, budget=BUDGET, approve="release", model="scripted")
    order = resolve(wish, company_settings(plan.settings))
    await publish(ceo, order)
    if not as_json:
        out(f'\n$ coo mission "{GOAL}" --budget {BUDGET} --approve release --follow', "bold")
    watch = Watch(ceo, order.name, "json" if as_json else "text")
    record = await watch.to_the_end(_TIMEOUT_S)
    if record.state == "paused_approval":
        await _approve(ceo, watch, as_json=as_json)
        await watch.to_the_end(_TIMEOUT_S)
    code = watch.close(as_json=as_json, delivered=True)
    if not as_json:
        _account(watch)
    return code


async def _approve(ceo: JetStreamCarrier, watch: Watch, *, as_json: bool) -> None:
    name, status = watch.record.name, watch.record.status
    assert status is not None
    if not as_json:
        out(f"the release waits for you: coo approve {name}. In this demo nobody has to: it approves itself.")
    decision = m.Decision(digest=status.asks, verdict="approve", note=NOTE)
    seq = await say(ceo, name, "approval", decision, digest("decision", name, status.asks, "approve"))
    await answer_to(ceo, name, seq, "approval", gate_says)


def _account(watch: Watch) -> None:
    """Say what there is, and what it cost."""
    assert watch.record.status is not None
    for path, ref in sorted(watch.record.status.deliverable.items()):
        out(f"  {ref.size:>7}  {plain(path, 80)}")
    out("Cost: nothing. The prices are invented, but held, checked and booked as those of a real model are.")


def _farewell(company: Company, *, as_json: bool, keep: bool) -> None:
    """Say how to look at the log with `nats`: now, or with a company that stays."""
    if as_json:
        return

    out("\nEvery message of it is in one JetStream stream. Look at it with the nats command:")
    if keep:
        out(f"  {looking(str(company.plan.data_dir.path))}")
        out("Ctrl-C ends it.")
    else:
        out("  coo demo --keep    leaves this company running, and prints the line to type; coo up does, too")
