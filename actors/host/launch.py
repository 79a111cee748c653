"""Starts a company and stops it: its server, its streams, its limits, and one process an actor.

Actors end before their server does, so that what they hold is finished and their checkpoints are in the log.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from importlib.metadata import version as package_version
from pathlib import Path
from typing import Any, Literal

from actors import messages as m
from actors.cast import table
from actors.desk.limits import known_limits
from actors.desk.terms import tell_settings
from actors.errors import Kind, UserError
from actors.host import stamp
from actors.host.announcing import announce_versions
from actors.host.crew import specs
from actors.host.datadir import DataDir, DataDirError, Run
from actors.host.failover import Failover
from actors.host.hindrances import Hindrances, watch_files
from actors.host.named import named_errors
from actors.host.nats import provenance
from actors.host.nats.binary import ServerError, configuration_file, find, version
from actors.host.nats.keeper import NAME as SERVER
from actors.host.nats.keeper import keep
from actors.host.nats.server import NatsServer
from actors.host.readiness import until_serving, waiting
from actors.host.session import is_guarded, password, session
from actors.host.storewatch import watch_store
from actors.host.supervisor import ProcessEvent, Release, Supervisor
from actors.process.hardening import Confined, possible
from actors.table import TABLE
from bus.server import setup
from bus.server.authority import principals, render, variable
from bus.server.topology import Topology, topology
from bus.structured import structlog
from bus.table import ADMIN, OPERATOR, SUPERVISOR
from config.settings import Settings

log = structlog.get_logger("actors")

Tell = Callable[[ProcessEvent], None]

START_S = 60.0
"""Time until every actor must serve. They take one or two seconds; a busy machine ten."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What to start. `server` is somebody else's NATS server; without it one is started on `port`."""

    settings: Settings
    data_dir: DataDir
    ephemeral: bool = False
    port: int | Literal["auto"] = 4222
    nats_server: str | None = None
    server: str | None = None
    config: Path | None = None
    replicas: int = 1


@dataclass(kw_only=True)
class Company:
    """A company whose actors all serve.

    `guarded`: there are credentials, so that the broker can tell who writes. `lost` says who was given up,
    and why. `told`: the run file is there; `untold`: it is no longer true. `confined` is what its actors gave
    up, None if that cannot be found out.
    """

    plan: Plan
    url: str
    server: NatsServer | None
    supervisor: Supervisor
    guarded: bool = True
    origin: str = ""
    limits: m.Limits | None = None
    lost: dict[str, str] = field(default_factory=dict)
    keeper: asyncio.Task[None] | None = None
    hindrances: Hindrances
    told: bool = False
    untold: bool = False
    confined: Confined | None = None

    def save_run(self) -> str:
        """Write what is not yet in the run file; return what was in the way, "" if nothing was."""
        try:
            if self.untold:
                self.write_run()
        except DataDirError as error:
            return error.what
        self.untold = False
        return ""

    def write_run(self) -> None:
        """Tell the machine's other commands where this company is.

        Raises:
            Unusable: the file cannot be written.
        """
        self.plan.data_dir.write_run(
            Run(
                url=self.url,
                server_pid=_pid(self.server),
                server_version=self.server.version if self.server else None,
                actors=self.supervisor.pids(),
                config=str(self.plan.config.absolute()) if self.plan.config else None,
            )
        )

    async def wait(self) -> None:
        """Return never: wait until this is cancelled, or until the company cannot work any more.

        Raises:
            ServerGivenUp: its server ended too often.
            UserError: every actor was given up.
        """
        alone = asyncio.create_task(self.supervisor.wait())
        ends = [alone, self.keeper] if self.keeper else [alone]
        try:
            done, _ = await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            for end in done:
                end.result()
        finally:
            alone.cancel()
        raise UserError(Kind.UNREACHABLE, "Every actor was given up.", "See why: coo logs --level error")


@asynccontextmanager
async def launched(plan: Plan, tell: Tell) -> AsyncIterator[Company]:
    """Start a company, and return when every actor serves. Leaving stops it; cancelled then, it kills.

    Raises:
        UserError: it cannot be started, and nothing is left running.
    """
    with named_errors():
        async with AsyncExitStack() as stack:
            stack.enter_context(plan.data_dir.lock())
            passwords = _passwords(plan)
            hindrances = Hindrances(plan.data_dir)
            company = Company(
                plan=plan,
                url=plan.server or "",
                server=None,
                supervisor=Supervisor([], tell),
                hindrances=hindrances,
            )
            if plan.server is None:
                await _serve_here(company, passwords, stack, tell)
            else:
                stamp.check(plan.data_dir, coo=package_version("coo-actor"), nats_server="")
            finding = asyncio.create_task(_confinement())
            stack.push_async_callback(_cancelled, finding)
            await _open(company, passwords, stack, tell)
            company.confined = await finding
            company.write_run()
            if company.server is not None:
                plan.data_dir.write_login(company.url, ADMIN, passwords[ADMIN])
            company.told = True
            watch = watch_files(plan.data_dir, _listener(company, tell), company.save_run)
            stack.push_async_callback(_cancelled, asyncio.create_task(watch))
            yield company


async def _confinement() -> Confined | None:
    try:
        return await possible()
    except (OSError, ValueError) as error:
        log.warning("confinement.unknown", reason=str(error))
        return None


async def _open(company: Company, passwords: Mapping[str, str], stack: AsyncExitStack, tell: Tell) -> None:
    plan = company.plan
    try:
        async with asyncio.timeout(START_S), session(company.url, ADMIN, passwords[ADMIN]) as admin:
            await setup.apply(admin, wanted(plan.settings))
            await announce_versions(company.url, passwords[OPERATOR])
            ceo = await stack.enter_async_context(session(company.url, "ceo", passwords["ceo"]))
            await tell_settings(ceo, plan.settings)
            company.limits = (await known_limits(ceo))[-1][1]
            if company.server is None:
                company.guarded = all(passwords.values()) and await is_guarded(ceo, passwords["ceo"])
            crew = specs(plan.settings, plan.data_dir, company.url, passwords, plan.replicas)
            release = await _failover(company, passwords, stack)
            company.supervisor = Supervisor(
                crew, _listener(company, tell), release=release, hindrance=company.hindrances.of_actor
            )
            before = await waiting(admin, [mailbox.name for mailbox in table().mailboxes])
            await stack.enter_async_context(company.supervisor)
            await until_serving(admin, before, plan.replicas, company.lost)
        watch = watch_store(ceo, "ceo", _listener(company, tell))
        stack.push_async_callback(_cancelled, asyncio.create_task(watch))
    except TimeoutError as error:
        raise UserError(
            Kind.UNREACHABLE, f"The actors do not serve after {START_S:g} s.", "See why: coo logs"
        ) from error


async def _serve_here(
    company: Company, passwords: Mapping[str, str], stack: AsyncExitStack, tell: Tell
) -> None:
    """Start this company's own nats-server, after looking at what it is and what it last ran on."""
    plan, data = company.plan, company.plan.data_dir
    binary = find(plan.nats_server)
    runs, company.origin = await asyncio.gather(
        asyncio.to_thread(version, binary),
        asyncio.to_thread(provenance.check, binary, data.run / "nats-server.checked"),
    )
    stamp.check(data, coo=package_version("coo-actor"), nats_server=runs)
    env = {variable(name): secret for name, secret in passwords.items()}
    log = data.logs / f"{SERVER}.log"
    server = NatsServer(binary, _configuration(data), data.nats, data.run, plan.port, env, log=log)
    company.server = await stack.enter_async_context(server)
    company.url = server.url
    keeping = keep(server, _listener(company, tell), hindrance=company.hindrances.of_server)
    company.keeper = asyncio.create_task(keeping)
    stack.push_async_callback(_cancelled, company.keeper)


def _configuration(data: DataDir) -> Path:
    """Return the server's configuration: the project's own, or one made for a company with more actors."""
    if table() is TABLE:
        return configuration_file()
    path = data.run / "nats-server.conf"
    path.write_text(render(table()), "utf-8")
    return path


def _passwords(plan: Plan) -> dict[str, str]:
    """Return everybody's password: our server's are made and kept here, another's are given to us."""
    if plan.server is None:
        return plan.data_dir.credentials(principals(table()))
    return {name: password(plan.data_dir, name) for name in principals(table())}


async def _failover(company: Company, passwords: Mapping[str, str], stack: AsyncExitStack) -> Release | None:
    """Return what gives back the mail that a dead process held; None if nobody here may do that."""
    url = company.url
    try:
        supervisor = await stack.enter_async_context(session(url, SUPERVISOR, passwords[SUPERVISOR]))
        admin = await stack.enter_async_context(session(url, ADMIN, passwords[ADMIN]))
    except UserError as error:
        log.warning("failover.off", reason=error.what, so="mail of a dead process waits for ack_wait")
        return None
    company.hindrances.admin = admin
    failover = Failover(supervisor, admin, company.plan.data_dir)
    stack.push_async_callback(failover.close)
    return failover.release


def wanted(settings: Settings) -> Topology:
    """Return the streams and consumers that the settings ask for."""
    bus = settings.bus
    return topology(
        table(),
        ack_wait_s=bus.ack_wait_s,
        duplicate_window_s=bus.duplicate_window_s,
        max_ack_pending=bus.max_ack_pending,
    )


def _listener(company: Company, tell: Tell) -> Tell:
    """Keep book of who is lost and where everybody is, then pass the event on."""

    def on_event(event: ProcessEvent) -> None:
        if event.kind == "gave_up":
            company.lost[event.name] = event.reason
        if event.kind in ("started", "gave_up") and company.told:
            company.untold = True
            company.save_run()  # a disk without room is told of, and tried again, by who watches it
        tell(event)

    return on_event


async def _cancelled(task: asyncio.Task[Any]) -> None:
    task.cancel()
    with suppress(asyncio.CancelledError, ServerError):
        await task


def _pid(server: NatsServer | None) -> int | None:
    with suppress(RuntimeError):  # it is just being started again
        return server.pid if server else None
    return None
