"""`coo up`, `coo down` and `coo setup`: run the company on this machine, and make its streams on a server."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, Optional

import typer

from actors.cast import hire, table
from actors.cli import detached
from actors.cli.config import ConfigOption
from actors.cli.connection import connected, server_url
from actors.cli.console import Console
from actors.cli.exits import Exit
from actors.cli.options import DataDirOption, JsonOption, ServerOption, run
from actors.cli.sandbox import finding_backend
from actors.cli.signals import until_signalled
from actors.desk.configuration import load_settings
from actors.errors import Kind, UserError
from actors.host.announcing import announce_versions
from actors.host.datadir import DataDir
from actors.host.ephemeral import removed_afterwards
from actors.host.named import named_errors
from actors.host.session import password
from actors.process.logs import to_stderr
from bus.server.authority import render_accounts
from bus.server.setup import apply
from bus.server.setup import check as compare
from bus.table import ADMIN, OPERATOR

if TYPE_CHECKING:
    from actors.host.launch import Plan
    from config.settings import Settings


EphemeralOption = Annotated[
    bool, typer.Option("--ephemeral", help="With data of its own, removed at the end.")
]
NatsServerOption = Annotated[
    Optional[Path], typer.Option("--nats-server", help="The nats-server to run (COO_NATS_SERVER).")
]
OwnServerOption = Annotated[
    Optional[str], typer.Option("--server", help="Use this NATS server and start none (NATS_URL).")
]
ActorsOption = Annotated[
    Optional[list[str]],
    typer.Option("--actors", metavar="MODULE:NAME", help="Add an actor of a package; can be repeated."),
]


def up(
    detach: Annotated[bool, typer.Option("--detach", "-d", help="Return when it is ready.")] = False,
    ephemeral: EphemeralOption = False,
    port: Annotated[str, typer.Option("--port", help="Where NATS listens; `auto` is a free port.")] = "4222",
    nats_server: NatsServerOption = None,
    server: OwnServerOption = None,
    replicas: Annotated[int, typer.Option("--replicas", min=1, max=16, help="Processes an actor.")] = 1,
    actors: ActorsOption = None,
    config: ConfigOption = None,
    data_dir: DataDirOption = None,
    as_json: JsonOption = False,
) -> None:
    """Run the company: a NATS server and every actor, each a process, until Ctrl-C; a second one kills."""
    hire(actors or ())
    listen = _port(port)
    settings = load_settings(config)

    from actors.host.launch import Plan  # takes long to import

    def plan(folder: Path | None) -> Plan:
        return Plan(
            settings=settings,
            data_dir=DataDir(folder),
            ephemeral=ephemeral,
            port=listen,
            nats_server=str(nats_server) if nats_server else None,
            server=server or os.environ.get("NATS_URL"),
            config=config,
            replicas=replicas,
        )

    to_stderr()
    with named_errors():
        if detach:
            code = detached.start(data_dir, ephemeral=ephemeral, as_json=as_json)
        else:
            code = _up_here(plan, data_dir, ephemeral, as_json)
    raise typer.Exit(code)


def _up_here(plan: Callable[[Path | None], Plan], data_dir: Path | None, removed: bool, as_json: bool) -> int:
    with removed_afterwards(data_dir) if removed else nullcontext(data_dir) as folder:
        return run(_up(plan(folder), Console(as_json)))


def down(
    now: Annotated[bool, typer.Option("--now", help="Kill it: actors do not finish what they hold.")] = False,
    data_dir: DataDirOption = None,
    as_json: JsonOption = False,
) -> None:
    """Stop the company that runs on the data directory, and return when it has ended."""
    with named_errors():
        stopped = detached.stop(DataDir(data_dir), now=now)
    if as_json:
        print(json.dumps({"status": "stopped" if stopped else "already_stopped"}))
    else:
        print("stopped" if stopped else "no company is running there")


def setup(
    check: Annotated[bool, typer.Option("--check", help="Only look; exit code 8 if one differs.")] = False,
    print_conf: Annotated[
        bool, typer.Option("--print-conf", help="Print the accounts for a NATS server of your own.")
    ] = False,
    config: ConfigOption = None,
    data_dir: DataDirOption = None,
    server: ServerOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make or update the streams and consumers on a server; repeating it changes nothing."""
    if print_conf:
        print(render_accounts(table()), end="")
        return
    settings = load_settings(config)
    to_stderr()
    lines = run(_set_up(settings, data_dir, server, check))
    differing = [line for line in lines if not line.endswith(": as expected")]
    if as_json:
        print(json.dumps({"checked": check, "done": dict(line.split(": ", 1) for line in lines)}))
    else:
        print("\n".join(lines))
    if check and differing:
        raise UserError(Kind.CONFLICT, f"{len(differing)} of {len(lines)} differ.", "Update them: coo setup")


async def _set_up(settings: Settings, data_dir: Path | None, server: str | None, check: bool) -> list[str]:
    with named_errors():
        from actors.host.launch import wanted  # takes long to import

        async with connected(data_dir, server, ADMIN) as admin:
            if check:
                return await compare(admin, wanted(settings))
            done = await apply(admin, wanted(settings))
        folder = DataDir(data_dir)
        return done + await announce_versions(server_url(folder, server), password(folder, OPERATOR))


def _port(text: str) -> int | Literal["auto"]:
    if text == "auto":
        return "auto"
    if text.isascii() and text.isdigit() and 0 < int(text) < 65536:
        return int(text)
    raise UserError(Kind.USAGE, f"--port {text} is not a port.", "Give a number from 1 to 65535, or auto.")


async def _up(plan: Plan, console: Console) -> int:
    signals = await until_signalled(_serve(plan, console), console.stopping)
    console.note("stopped")
    return int(Exit.DONE if signals < 2 else Exit.DETACHED)


async def _serve(plan: Plan, console: Console) -> None:
    from actors.host.launch import launched  # takes long to import

    began_s = time.monotonic()
    async with finding_backend(plan.settings.sandbox) as isolation, launched(plan, console.event) as company:
        console.ready(company, await isolation, time.monotonic() - began_s)
        await company.wait()
