"""`coo up`, `coo down` and `coo setup`: run the company on this machine, and make its streams on a server."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, Optional

import typer

from actors.desk.errors import DeskError, Exit
from actors.desk.main import DataDirOption, JsonOption, ServerOption, log_to_stderr, run
from actors.desk.settings import ConfigOption, load_settings

if TYPE_CHECKING:
    from actors.desk.console import Console
    from actors.desk.launch import Plan
    from config.settings import Settings


def register(app: typer.Typer) -> None:
    """Add `coo up`, `coo down` and `coo setup`."""
    app.command("up")(up)
    app.command("down")(down)
    app.command("setup")(setup)


def up(
    detach: Annotated[bool, typer.Option("--detach", "-d", help="Return when it is ready.")] = False,
    ephemeral: Annotated[
        bool, typer.Option("--ephemeral", help="With data of its own, removed at the end.")
    ] = False,
    port: Annotated[str, typer.Option("--port", help="Where NATS listens; `auto` is a free port.")] = "4222",
    nats_server: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option("--nats-server", help="The nats-server to run (COO_NATS_SERVER)."),
    ] = None,
    server: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option("--server", help="Use this NATS server and start none (NATS_URL)."),
    ] = None,
    replicas: Annotated[int, typer.Option("--replicas", min=1, max=16, help="Processes an actor.")] = 1,
    config: ConfigOption = None,
    data_dir: DataDirOption = None,
    as_json: JsonOption = False,
) -> None:
    """Run the company: a NATS server and every actor, each a process, until Ctrl-C; a second one kills."""
    listen = _port(port)
    settings = load_settings(config)

    from actors.datadir import DataDir
    from actors.desk import detached
    from actors.desk.launch import Plan, named_errors

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

    log_to_stderr()
    with named_errors():
        if detach:
            code = detached.start(data_dir, ephemeral=ephemeral, as_json=as_json)
        else:
            code = _up_here(plan, data_dir, ephemeral, as_json)
    raise typer.Exit(code)


def _up_here(plan: Callable[[Path | None], Plan], data_dir: Path | None, removed: bool, as_json: bool) -> int:
    from contextlib import nullcontext

    from actors.desk.console import Console
    from actors.ephemeral import removed_afterwards

    with removed_afterwards(data_dir) if removed else nullcontext(data_dir) as folder:
        return run(_up(plan(folder), Console(as_json)))


def down(
    now: Annotated[bool, typer.Option("--now", help="Kill it: actors do not finish what they hold.")] = False,
    data_dir: DataDirOption = None,
    as_json: JsonOption = False,
) -> None:
    """Stop the company that runs on the data directory, and return when it has ended."""
    from actors.datadir import DataDir
    from actors.desk import detached
    from actors.desk.launch import named_errors

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
        from actors.table import TABLE
        from bus.authority import render_accounts

        print(render_accounts(TABLE), end="")
        return
    settings = load_settings(config)
    log_to_stderr()
    lines = run(_set_up(settings, data_dir, server, check))
    differing = [line for line in lines if not line.endswith(": as expected")]
    if as_json:
        print(json.dumps({"checked": check, "done": dict(line.split(": ", 1) for line in lines)}))
    else:
        print("\n".join(lines))
    if check and differing:
        raise DeskError(Exit.CONFLICT, f"{len(differing)} of {len(lines)} differ.", "Update them: coo setup")


async def _set_up(settings: Settings, data_dir: Path | None, server: str | None, check: bool) -> list[str]:
    from actors.datadir import DataDir
    from actors.desk.announcing import announce_versions
    from actors.desk.connection import connected, password, server_url
    from actors.desk.launch import named_errors, wanted
    from bus import setup
    from bus.authority import ADMIN, OPERATOR

    with named_errors():
        async with connected(data_dir, server, ADMIN) as admin:
            if check:
                return await setup.check(admin, wanted(settings))
            done = await setup.apply(admin, wanted(settings))
        folder = DataDir(data_dir)
        return done + await announce_versions(server_url(folder, server), password(folder, OPERATOR))


def _port(text: str) -> int | Literal["auto"]:
    if text == "auto":
        return "auto"
    if text.isascii() and text.isdigit() and 0 < int(text) < 65536:
        return int(text)
    raise DeskError(Exit.USAGE, f"--port {text} is no port.", "Give a number from 1 to 65535, or auto.")


async def _up(plan: Plan, console: Console) -> int:
    from actors.desk.signals import until_signalled

    signals = await until_signalled(_serve(plan, console), console.stopping)
    console.note("stopped")
    return int(Exit.DONE if signals < 2 else Exit.DETACHED)


async def _serve(plan: Plan, console: Console) -> None:
    from actors.desk.launch import launched
    from actors.desk.workshop import finding_backend

    began_s = time.monotonic()
    async with finding_backend(plan.settings.sandbox) as isolation, launched(plan, console.event) as company:
        console.ready(company, await isolation, time.monotonic() - began_s)
        await company.wait()
