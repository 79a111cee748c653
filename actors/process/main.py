"""`coo-actor ROLE`: one actor as an operating system process, against any NATS server.

Its configuration comes as JSON from whoever starts it, and its secrets with it through the same pipe: the
environment of a process is read by whoever runs as its user. Only when started alone does it load the
settings tree, and take its secrets from the environment. No CLI framework and no pydantic is on its import
path, so that it starts fast.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import signal
import sys
from dataclasses import asdict, dataclass, field, replace
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from actors.cast import hire, table, table_of
from actors.errors import Kind, UserError
from actors.performers.model.catalog import ModelPart
from actors.process import kernel, logs
from actors.process.credentials import NoNkeys, shared_login
from actors.process.held import ENVIRONMENT, HeldReport
from actors.process.strikes import Strikes
from actors.process.wiring import loops, serve
from actors.table import TABLE
from actors.terminal import open_terminal
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
from bus.ports import Carrier
from bus.server.authority import variable
from bus.structured import structlog
from config.parts import ActorConfig, decode

if TYPE_CHECKING:
    from sandbox.apart import Apart

EX_TEMPFAIL = 75
"""The server is away: whoever supervises should start this again."""

EX_CONFIG = 78
"""Starting again would not help: rights, credentials, versions, or a log that this code contradicts."""

_DRAIN_S = 9.0
"""How long a drain may take: a server that is gone must not keep a process for ever."""

_NOT_SECRET = ("PATH", "HOME", "LANG", "TMPDIR", "DOCKER_HOST")
"""All that the process that starts sandboxes is told of the environment."""

_HOPELESS = (NotPermitted, WrongCredentials, NotSetUp, NewerVersion, DecisionChanged)

log = structlog.get_logger("actors")


class HelperGone(Exception):
    """The process that starts sandboxes has ended."""

    def __init__(self) -> None:
        super().__init__("the process that starts sandboxes has ended")


def main(argv: list[str] | None = None) -> int:
    """Run one actor until SIGTERM or Ctrl-C; a second one ends it at once."""
    kernel.stop_dumps()
    open_terminal()
    options = _parser().parse_args(argv)
    try:
        hire(options.actors)
        if options.role == "list":
            return _list()
        if options.role not in table_of(options.role).processes:
            raise UserError(Kind.USAGE, f"there is no such actor; there are {', '.join(table().processes)}")
        if options.secrets:
            os.environ.update(_secrets())
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
    own = _Own(password, Strikes(options.strikes))
    if options.confine is not None:
        own = _confined(own, options.role, options.confine, config)
    return asyncio.run(_run(options, config, own))


@dataclass(frozen=True)
class _Own:
    """What this process has in its hands when it starts to work; `confined` is for its log."""

    password: str
    deaths: Strikes
    apart: Apart | None = None
    confined: dict[str, object] = field(default_factory=dict)


def _confined(own: _Own, role: str, uid: int, config: ActorConfig) -> _Own:
    """Give up what an actor does not need; its log and its strikes are open already.

    What starts sandboxes needs all of it, so that is another process, which takes only orders.
    """
    from actors.process.hardening import confine

    apart = _apart(config.parts["sandbox"]) if "sandbox" in config.parts else None
    return replace(own, apart=apart, confined=asdict(confine(uid or None, _read_later(role, config))))


def _read_later(role: str, config: ActorConfig) -> list[Path]:
    """Return what this process reads while it works: what its settings name, and a package's own code."""
    if "model" in config.parts:
        scripts = msgspec.json.decode(config.parts["model"], type=ModelPart).scripts
        return [Path(scripts)] if scripts else []
    if role in TABLE.processes:
        return []
    served = [mailbox.served_by.partition(":")[0] for mailbox in table().mailboxes_of(role)]
    return [Path(str(import_module(name).__file__)).parent for name in served]


def _apart(part: msgspec.Raw) -> Apart:
    from sandbox.apart import Apart
    from sandbox.policy import Policy

    env = {name: os.environ[name] for name in _NOT_SECRET if name in os.environ}
    policy = msgspec.json.decode(part, type=Policy)
    return Apart(policy.backend, policy, env)


class _Watch:
    """Ends this process with the one that starts its sandboxes: this one cannot start another."""

    def __init__(self, apart: Apart) -> None:
        self._apart = apart

    async def run(self, stop: asyncio.Event) -> None:
        ended = asyncio.ensure_future(self._apart.ended())
        stopped = asyncio.ensure_future(stop.wait())
        try:
            await asyncio.wait([ended, stopped], return_when=asyncio.FIRST_COMPLETED)
        finally:
            ended.cancel()
            stopped.cancel()
        if not stop.is_set():
            raise HelperGone


def _secrets() -> dict[str, str]:
    """Read the line before the configuration: secrets by the variables they would otherwise be in."""
    return msgspec.json.decode(sys.stdin.buffer.readline(), type=dict[str, str])


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="coo-actor", description="Run one actor of the company against a NATS server."
    )
    parser.add_argument("role", help="the actor, or `list` to see them")
    parser.add_argument(
        "--server",
        default=os.environ.get("NATS_URL", "nats://127.0.0.1:4222"),
        help="the NATS server (NATS_URL, else nats://127.0.0.1:4222)",
    )
    parser.add_argument("--config", help="a JSON file with this actor's configuration, or - for stdin")
    parser.add_argument(
        "--secrets", choices=["-"], help="read what follows as variables from stdin's first line, as JSON"
    )
    parser.add_argument(
        "--confine",
        type=int,
        metavar="UID",
        help="give up all that an actor does not need, and become this user if root starts it; 0: stay root",
    )
    parser.add_argument("--strikes", type=Path, help="the file with what kills this actor's processes")
    parser.add_argument(
        "--actors",
        action="append",
        default=[],
        metavar="MODULE:NAME",
        help="an actor besides those installed",
    )
    parser.add_argument("--log", type=Path, help="write JSON lines to this file instead of stderr")
    parser.epilog = (
        "The password of the actor is read from COO_<ROLE>_PASSWORD; without one, NATS_USER and "
        "NATS_PASSWORD, NATS_TOKEN or NATS_CREDS log in to a server that cannot tell one actor from another."
    )
    return parser


def _list() -> int:
    for process in table().processes:
        for mailbox in table().mailboxes_of(process):
            kinds = sorted({row.kind for row in table().rows_from([mailbox.name])})
            print(f"{process:10} {mailbox.name:15} sends {', '.join(kinds)}")
    return 0


def _config(options: argparse.Namespace) -> ActorConfig:
    if options.config == "-":
        return decode(sys.stdin.buffer.read())
    if options.config:
        return decode(Path(options.config).read_bytes())
    from config.settings import load
    from config.split import part

    return decode(part(load(), options.role, table_of(options.role).needs_of(options.role)))


async def _run(options: argparse.Namespace, config: ActorConfig, own: _Own) -> int:
    stop = asyncio.Event()
    _stop_on_signals(stop)
    try:
        carrier = await connect(
            options.server,
            user=options.role if own.password else "",
            password=own.password,
            shared=shared_login(os.environ),
            name=options.role,
            leases=HeldReport(int(held)) if (held := os.environ.get(ENVIRONMENT)) else None,
        )
    except BusError as error:
        return _ended(options.role, error)
    except NoNkeys as error:
        print(f"coo-actor {options.role}: {error}", file=sys.stderr)
        return EX_CONFIG
    log.info("actor.started", pid=os.getpid(), server=options.server, **own.confined)
    try:
        await _serve(options.role, carrier, config, own, stop)
    except (BusError, HelperGone) as error:
        return _ended(options.role, error)
    finally:
        if own.apart is not None:
            await own.apart.close()
        await carrier.close()
    log.info("actor.stopped")
    return 0


async def _serve(role: str, carrier: Carrier, config: ActorConfig, own: _Own, stop: asyncio.Event) -> None:
    serving = loops(
        role, carrier, config, own.apart.find if own.apart else None, deaths=own.deaths, table=table_of(role)
    )
    await serve([*serving, _Watch(own.apart)] if own.apart else serving, stop)


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


def _ended(role: str, error: BusError | HelperGone) -> int:
    """Say in one line why the process ends, in the log and on stderr."""
    log.critical("actor.failed", error=str(error), kind=type(error).__name__)
    print(f"coo-actor {role}: {error}", file=sys.stderr)
    if isinstance(error, _HOPELESS):
        return EX_CONFIG
    return EX_TEMPFAIL if isinstance(error, Unreachable) else 1


if __name__ == "__main__":
    sys.exit(main())
