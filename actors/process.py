"""`coo-actor ROLE`: one actor as an operating system process, against any NATS server.

Its configuration comes as JSON from whoever starts it; only when started alone does it load the settings
tree. No CLI framework and no pydantic is on its import path, so that it starts fast.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import signal
import sys
from pathlib import Path

from actors import log as logs
from actors.company import loops, serve
from actors.credentials import NoNkeys, shared_login
from actors.held import ENVIRONMENT, HeldReport
from actors.strikes import Strikes
from actors.table import TABLE
from actors.terminal import open_terminal
from bus.authority import variable
from bus.errors import (
    BusError,
    DecisionChanged,
    NewerVersion,
    NotPermitted,
    NotSetUp,
    Unreachable,
    WrongCredentials,
)
from bus.jetstream import connect
from bus.structured import structlog
from config.parts import ActorConfig, decode

EX_TEMPFAIL = 75
"""The server is away: whoever supervises should start this again."""

EX_CONFIG = 78
"""Starting again would not help: rights, credentials, versions, or a log that this code contradicts."""

_DRAIN_S = 9.0
"""How long a drain may take: a server that is gone must not keep a process for ever."""

_HOPELESS = (NotPermitted, WrongCredentials, NotSetUp, NewerVersion, DecisionChanged)

log = structlog.get_logger("actors")


def main(argv: list[str] | None = None) -> int:
    """Run one actor until SIGTERM or Ctrl-C; a second one ends it at once."""
    open_terminal()
    options = _parser().parse_args(argv)
    if options.role == "list":
        return _list()
    try:
        config = _config(options)
    except Exception as error:  # whatever is wrong with a configuration, a person sees one line
        print(f"coo-actor {options.role}: {error}", file=sys.stderr)
        return EX_CONFIG
    password = os.environ.get(variable(options.role), "")
    secrets = [os.environ.get(name, "") for name in config.log.secret_env]
    logs.configure(
        options.role,
        file=options.log,
        console=options.log is None,
        level=config.log.level,
        secrets=[secret for secret in (password, *secrets) if secret],
    )
    return asyncio.run(_run(options, config, password))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="coo-actor", description="Run one actor of the company against a NATS server."
    )
    parser.add_argument("role", choices=[*TABLE.processes, "list"], help="the actor, or `list` to see them")
    parser.add_argument(
        "--server",
        default=os.environ.get("NATS_URL", "nats://127.0.0.1:4222"),
        help="the NATS server (NATS_URL, else nats://127.0.0.1:4222)",
    )
    parser.add_argument("--config", help="a JSON file with this actor's configuration, or - for stdin")
    parser.add_argument("--strikes", type=Path, help="the file with what kills this actor's processes")
    parser.add_argument("--log", type=Path, help="write JSON lines to this file instead of stderr")
    parser.epilog = (
        "The password of the actor is read from COO_<ROLE>_PASSWORD; without one, NATS_USER and "
        "NATS_PASSWORD, NATS_TOKEN or NATS_CREDS log in to a server that cannot tell one actor from another."
    )
    return parser


def _list() -> int:
    for process in TABLE.processes:
        for mailbox in TABLE.mailboxes_of(process):
            kinds = sorted({row.kind for row in TABLE.rows_from([mailbox.name])})
            print(f"{process:10} {mailbox.name:15} sends {', '.join(kinds)}")
    return 0


def _config(options: argparse.Namespace) -> ActorConfig:
    if options.config == "-":
        return decode(sys.stdin.buffer.read())
    if options.config:
        return decode(Path(options.config).read_bytes())
    from config.settings import load
    from config.split import part

    return decode(part(load(), options.role))


async def _run(options: argparse.Namespace, config: ActorConfig, password: str) -> int:
    stop = asyncio.Event()
    _stop_on_signals(stop)
    try:
        carrier = await connect(
            options.server,
            user=options.role if password else "",
            password=password,
            shared=shared_login(os.environ),
            name=options.role,
            leases=HeldReport(int(held)) if (held := os.environ.get(ENVIRONMENT)) else None,
        )
    except BusError as error:
        return _ended(options.role, error)
    except NoNkeys as error:
        print(f"coo-actor {options.role}: {error}", file=sys.stderr)
        return EX_CONFIG
    log.info("actor.started", pid=os.getpid(), server=options.server)
    try:
        await serve(loops(options.role, carrier, config, deaths=Strikes(options.strikes)), stop)
    except BusError as error:
        return _ended(options.role, error)
    finally:
        await carrier.close()
    log.info("actor.stopped")
    return 0


def _stop_on_signals(stop: asyncio.Event) -> None:
    def on_signal(number: int) -> None:
        if stop.is_set():
            os._exit(128 + number)
        stop.set()
        loop.call_later(_DRAIN_S, os._exit, EX_TEMPFAIL)

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        with contextlib.suppress(NotImplementedError):
            loop.add_signal_handler(number, on_signal, number)


def _ended(role: str, error: BusError) -> int:
    """Say in one line why the process ends, in the log and on stderr."""
    log.critical("actor.failed", error=str(error), kind=type(error).__name__)
    print(f"coo-actor {role}: {error}", file=sys.stderr)
    if isinstance(error, _HOPELESS):
        return EX_CONFIG
    return EX_TEMPFAIL if isinstance(error, Unreachable) else 1


if __name__ == "__main__":
    sys.exit(main())
