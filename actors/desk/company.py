"""`coo up` and `coo setup`: run the whole company on this machine, and make its streams on a server."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Optional

import typer

from actors.desk.errors import DeskError, Exit
from actors.desk.main import DataDirOption, JsonOption, ServerOption, run
from actors.desk.settings import ConfigOption, load_settings

if TYPE_CHECKING:
    from actors.desk.launch import Company, Plan
    from actors.desk.workshop import Found
    from actors.supervisor import ProcessEvent
    from config.settings import Settings

SCRIPTED = "scripted — answers are canned and prices are invented"


def register(app: typer.Typer) -> None:
    """Add `coo up` and `coo setup`."""
    app.command("up")(up)
    app.command("setup")(setup)


def up(
    port: Annotated[str, typer.Option("--port", help="Where NATS listens; `auto` is a free port.")] = "4222",
    nats_server: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option("--nats-server", help="The nats-server to run (COO_NATS_SERVER)."),
    ] = None,
    server: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option("--server", help="Use this NATS server and start none."),
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
    from actors.desk.launch import Plan

    plan = Plan(
        settings=settings,
        data_dir=DataDir(data_dir),
        port=listen,
        nats_server=str(nats_server) if nats_server else None,
        server=server,
        config=config,
        replicas=replicas,
    )
    _log_to_stderr()
    raise typer.Exit(run(_until_signalled(plan, Console(as_json))))


def setup(
    check: Annotated[bool, typer.Option("--check", help="Only look; exit code 8 if one differs.")] = False,
    config: ConfigOption = None,
    data_dir: DataDirOption = None,
    server: ServerOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make or update the streams and consumers on a server; repeating it changes nothing."""
    settings = load_settings(config)
    _log_to_stderr()
    lines = run(_set_up(settings, data_dir, server, check))
    differing = [line for line in lines if not line.endswith(": as expected")]
    if as_json:
        print(json.dumps({"checked": check, "done": dict(line.split(": ", 1) for line in lines)}))
    else:
        print("\n".join(lines))
    if check and differing:
        raise DeskError(Exit.CONFLICT, f"{len(differing)} of {len(lines)} differ.", "Update them: coo setup")


async def _set_up(settings: Settings, data_dir: Path | None, server: str | None, check: bool) -> list[str]:
    from actors.desk.connection import connected
    from actors.desk.launch import named_errors, wanted
    from bus import setup
    from bus.authority import ADMIN

    with named_errors():
        async with connected(data_dir, server, ADMIN) as admin:
            return await (setup.check if check else setup.apply)(admin, wanted(settings))


def _log_to_stderr() -> None:
    """Keep what the bus logs off stdout, where the data is."""
    from actors import log

    log.configure("desk", file=None, console=True, level="warning", secrets=())


def _port(text: str) -> int | Literal["auto"]:
    if text == "auto":
        return "auto"
    if text.isascii() and text.isdigit() and 0 < int(text) < 65536:
        return int(text)
    raise DeskError(Exit.USAGE, f"--port {text} is no port.", "Give a number from 1 to 65535, or auto.")


# -- running --------------------------------------------------------------------------------------------


async def _until_signalled(plan: Plan, console: Console) -> int:
    """Run the company until it is asked to end. Being cancelled drains it; being cancelled again kills."""
    import asyncio

    asked: list[int] = []
    running = asyncio.current_task()
    assert running is not None

    def on_signal(number: int) -> None:
        asked.append(number)
        console.stopping(again=len(asked) > 1)
        running.cancel()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, on_signal, number)
    try:
        await _serve(plan, console)
    except asyncio.CancelledError:
        if not asked:
            raise
    console.note("stopped")
    return int(Exit.DONE if len(asked) < 2 else Exit.DETACHED)


async def _serve(plan: Plan, console: Console) -> None:
    import asyncio

    from actors.desk.launch import launched
    from actors.desk.workshop import find_backend

    began_s = time.monotonic()
    isolation = asyncio.create_task(find_backend(plan.settings.sandbox))
    try:
        async with launched(plan, console.event) as company:
            console.ready(company, await isolation, time.monotonic() - began_s)
            await company.wait()
    finally:
        isolation.cancel()


# -- telling --------------------------------------------------------------------------------------------


class Console:
    """What a person or a program is told while the company runs."""

    def __init__(self, as_json: bool) -> None:
        self._json = as_json
        self._down: set[str] = set()

    def ready(self, company: Company, isolation: Found, seconds: float) -> None:
        """Say where everything is."""
        if self._json:
            self._line(event="ready", **_facts(company, isolation), seconds=round(seconds, 3))
        else:
            print(_block(company, isolation, seconds), flush=True)
        if not company.guarded:
            self.note("no credentials for that server, so any actor can write any mail there")
        if isolation.backend is None:
            self.note(f"no sandbox, so no program will run: {isolation.reason}")
            self.note(f"fix: {isolation.fix}")

    def event(self, event: ProcessEvent) -> None:
        """Report what becomes of a process; the first start of each is no news."""
        back = event.name in self._down
        if event.kind in ("crashed", "gave_up"):
            self._down.add(event.name)
        elif event.kind == "started":
            self._down.discard(event.name)
            if not back:
                return
        if self._json:
            self._line(
                event=event.kind,
                name=event.name,
                pid=event.pid,
                returncode=event.returncode,
                reason=event.reason,
                restart_in_s=round(event.restart_in_s, 3),
            )
        elif line := _told(event):
            self.note(line)

    def stopping(self, *, again: bool) -> None:
        """Say that a signal was understood."""
        if again:
            self.note("killing everything")
        else:
            self.note("stopping: actors finish what they hold; Ctrl-C again kills them")

    def note(self, line: str) -> None:
        """Tell a person something that is no data."""
        print(f"coo: {line}", file=sys.stderr, flush=True)

    def _line(self, **fields: Any) -> None:
        print(json.dumps(fields), flush=True)


def _told(event: ProcessEvent) -> str:
    match event.kind:
        case "started":
            return f"{event.name} runs again (pid {event.pid})"
        case "crashed":
            again = f"in {event.restart_in_s:.1f} s" if event.restart_in_s else "at once"
            return f"{event.name} died ({event.reason}); starting it again {again}"
        case "gave_up":
            said = [line for line in event.tail.splitlines() if not line.startswith("{")][-1:]
            why = f": {said[0]}" if said else ""
            return f"{event.name} is given up ({event.reason}){why}; see coo logs {event.name}"
        case _:
            return ""


def _facts(company: Company, isolation: Found) -> dict[str, Any]:
    plan, server = company.plan, company.server
    return {
        "url": company.url,
        "pid": os.getpid(),
        "data_dir": str(plan.data_dir.path),
        "server": {"pid": server.pid, "version": server.version} if server else None,
        "actors": company.supervisor.pids(),
        "sandbox": isolation.backend,
        "model": _model(plan.settings),
        "limits": plan.settings.limits.model_dump(),
    }


def _model(settings: Settings) -> str:
    """Name the models in use: one name if every role has the same."""
    names: dict[str, str] = settings.models.roles.model_dump()
    if len(set(names.values())) == 1:
        return next(iter(names.values()))
    return ", ".join(f"{role}: {name}" for role, name in names.items())


def _block(company: Company, isolation: Found, seconds: float) -> str:
    from importlib.metadata import version

    from actors.datadir import default_path, short

    plan, server, settings = company.plan, company.server, company.plan.settings
    box, limits, model = settings.sandbox, settings.limits, _model(settings)
    told = f"nats-server {server.version} (pid {server.pid})" if server else "not ours"
    walls = f"no network, {box.memory_bytes // 2**20} MiB, {box.timeout_s:g} s"
    pids = company.supervisor.pids()
    elsewhere = f" --data-dir {plan.data_dir.path}" if plan.data_dir.path != default_path(os.environ) else ""
    names = [f"{name} {'up' if name in pids else 'DOWN'}" for name in pids | company.lost]
    return "\n".join(
        [
            f"COO {version('coo-actor'):<40} Ctrl-C to stop",
            f"  NATS       {company.url}   {told}",
            f"  Data       {short(plan.data_dir.path)}   synced to disk before a message counts as stored",
            f"  Model      {SCRIPTED if model == 'scripted' else model}",
            f"  Sandbox    {f'{isolation.backend} ({walls})' if isolation.backend else 'NONE'}",
            f"  Limits     ${limits.mission_usd} per mission · ${limits.daily_usd} per day · "
            f"${limits.monthly_usd} per month",
            f"  Actors     {' · '.join(names)}",
            f"Ready in {seconds:.1f} s",
            "",
            f'Try it:    coo mission "Write fizzbuzz" --budget 1.00{elsewhere}',
            f"Watch it:  coo logs -f{elsewhere}",
        ]
    )
