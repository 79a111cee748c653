"""Starts a company and stops it: its server, its streams, its limits, and one process an actor.

Actors end before their server does, so that what they hold is finished and their checkpoints are in the log.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from importlib.metadata import version as package_version
from pathlib import Path
from typing import Literal

from actors import provenance, stamp
from actors.datadir import DataDir, DataDirError, Locked, Run
from actors.desk.announcing import announce_versions
from actors.desk.connection import is_guarded, password, session
from actors.desk.errors import DeskError, Exit
from actors.desk.failover import Failover
from actors.desk.limits import send_limits
from actors.desk.processes import specs
from actors.server import NatsServer, PortTaken, StillRunning, StoreElsewhere
from actors.serverbinary import ServerError, configuration_file, find, version
from actors.serverkeeper import NAME as SERVER
from actors.serverkeeper import keep
from actors.supervisor import ProcessEvent, Release, Supervisor
from actors.table import TABLE
from bus import setup
from bus.authority import ADMIN, OPERATOR, SUPERVISOR, principals, variable
from bus.errors import BusError, TopologyConflict, Unreachable
from bus.jetstream import JetStreamCarrier
from bus.structured import structlog
from bus.subjects import MAIL_STREAM
from bus.topology import Topology, topology
from config.settings import Settings

log = structlog.get_logger("actors")

Tell = Callable[[ProcessEvent], None]

START_S = 60.0
"""Time until every actor must serve. They take one or two seconds; a busy machine ten."""

_POLL_S = 0.03


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
    and why.
    """

    plan: Plan
    url: str
    server: NatsServer | None
    supervisor: Supervisor
    guarded: bool = True
    origin: str = ""
    lost: dict[str, str] = field(default_factory=dict)
    keeper: asyncio.Task[None] | None = None

    def write_run(self) -> None:
        """Tell the machine's other commands where this company is."""
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
            DeskError: every actor was given up.
        """
        alone = asyncio.create_task(self.supervisor.wait())
        ends = [alone, self.keeper] if self.keeper else [alone]
        try:
            done, _ = await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            for end in done:
                end.result()
        finally:
            alone.cancel()
        raise DeskError(Exit.UNREACHABLE, "Every actor was given up.", "See why: coo logs --level error")


@asynccontextmanager
async def launched(plan: Plan, tell: Tell) -> AsyncIterator[Company]:
    """Start a company, and return when every actor serves. Leaving stops it; cancelled then, it kills.

    Raises:
        DeskError: it cannot be started, and nothing is left running.
    """
    with named_errors():
        async with AsyncExitStack() as stack:
            stack.enter_context(plan.data_dir.lock())
            passwords = _passwords(plan)
            company = Company(plan=plan, url=plan.server or "", server=None, supervisor=Supervisor([], tell))
            if plan.server is None:
                await _serve_here(company, passwords, stack, tell)
            else:
                stamp.check(plan.data_dir, coo=package_version("coo-actor"), nats_server="")
            await _open(company, passwords, stack, tell)
            company.write_run()
            if company.server is not None:
                plan.data_dir.write_login(company.url, ADMIN, passwords[ADMIN])
            yield company


async def _open(company: Company, passwords: Mapping[str, str], stack: AsyncExitStack, tell: Tell) -> None:
    plan = company.plan
    try:
        async with asyncio.timeout(START_S), session(company.url, ADMIN, passwords[ADMIN]) as admin:
            await setup.apply(admin, wanted(plan.settings))
            await announce_versions(company.url, passwords[OPERATOR])
            async with session(company.url, "ceo", passwords["ceo"]) as ceo:
                await send_limits(ceo, plan.settings)
                if company.server is None:
                    company.guarded = all(passwords.values()) and await is_guarded(ceo, passwords["ceo"])
            crew = specs(plan.settings, plan.data_dir, company.url, passwords, plan.replicas)
            release = await _failover(company, passwords, stack)
            company.supervisor = Supervisor(crew, _listener(company, tell), release=release)
            before = await _waiting(admin, [mailbox.name for mailbox in TABLE.mailboxes])
            await stack.enter_async_context(company.supervisor)
            await _until_serving(admin, company, before)
    except TimeoutError as error:
        raise DeskError(
            Exit.UNREACHABLE, f"The actors do not serve after {START_S:g} s.", "See why: coo logs"
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
    server = NatsServer(binary, configuration_file(), data.nats, data.run, plan.port, env, log=log)
    company.server = await stack.enter_async_context(server)
    company.url = server.url
    company.keeper = asyncio.create_task(keep(server, _listener(company, tell)))
    stack.push_async_callback(_cancelled, company.keeper)


def _passwords(plan: Plan) -> dict[str, str]:
    """Return everybody's password: our server's are made and kept here, another's are given to us."""
    if plan.server is None:
        return plan.data_dir.credentials(principals(TABLE))
    return {name: password(plan.data_dir, name) for name in principals(TABLE)}


async def _failover(company: Company, passwords: Mapping[str, str], stack: AsyncExitStack) -> Release | None:
    """Return what gives back the mail that a dead process held; None if nobody here may do that."""
    url = company.url
    try:
        supervisor = await stack.enter_async_context(session(url, SUPERVISOR, passwords[SUPERVISOR]))
        admin = await stack.enter_async_context(session(url, ADMIN, passwords[ADMIN]))
    except DeskError as error:
        log.warning("failover.off", reason=error.what, so="mail of a dead process waits for ack_wait")
        return None
    failover = Failover(supervisor, admin, company.plan.data_dir)
    stack.push_async_callback(failover.close)
    return failover.release


def wanted(settings: Settings) -> Topology:
    """Return the streams and consumers that the settings ask for."""
    bus = settings.bus
    return topology(
        TABLE,
        ack_wait_s=bus.ack_wait_s,
        duplicate_window_s=bus.duplicate_window_s,
        max_ack_pending=bus.max_ack_pending,
    )


async def _until_serving(admin: JetStreamCarrier, company: Company, before: dict[str, int]) -> None:
    """Wait until every process has asked its mailboxes for mail; `before` is who asked without them.

    Raises:
        DeskError: one was given up before it did.
    """
    asked = dict(before)  # on somebody else's server others may ask too, and requests of the dead run out
    while asked or company.lost:
        for name, reason in company.lost.items():
            what = f"{name} does not start: {reason}."
            raise DeskError(Exit.UNREACHABLE, what, f"See why: coo logs {name}")
        for name, now in (await _waiting(admin, asked)).items():
            if now >= asked[name] + company.plan.replicas:
                del asked[name]
            else:
                asked[name] = min(asked[name], now)
        await asyncio.sleep(_POLL_S)


async def _waiting(admin: JetStreamCarrier, mailboxes: Iterable[str]) -> dict[str, int]:
    """Return how many requests for mail are open at each mailbox."""
    infos = {name: f"$JS.API.CONSUMER.INFO.{MAIL_STREAM}.{name}" for name in mailboxes}
    return {name: (await admin.api(info, {})).get("num_waiting", 0) for name, info in infos.items()}


def _listener(company: Company, tell: Tell) -> Tell:
    """Keep book of who is lost and where everybody is, then pass the event on."""

    def on_event(event: ProcessEvent) -> None:
        if event.kind == "gave_up":
            company.lost[event.name] = event.reason
        if event.kind in ("started", "gave_up") and company.plan.data_dir.read_run() is not None:
            company.write_run()
        tell(event)

    return on_event


async def _cancelled(task: asyncio.Task[None]) -> None:
    task.cancel()
    with suppress(asyncio.CancelledError, ServerError):
        await task


def _pid(server: NatsServer | None) -> int | None:
    with suppress(RuntimeError):  # it is just being started again
        return server.pid if server else None
    return None


@contextmanager
def named_errors() -> Iterator[None]:
    """Say what went wrong and what to do, for whoever typed the command."""
    try:
        yield
    except Locked as error:
        raise DeskError(Exit.CONFLICT, f"{error.what}.", f"{error.fix}.") from error
    except DataDirError as error:
        raise DeskError(Exit.USAGE, f"{error.what}.", f"{error.fix}.") from error
    except ServerError as error:
        code = Exit.CONFLICT if isinstance(error, (PortTaken, StillRunning)) else Exit.UNREACHABLE
        code = Exit.USAGE if isinstance(error, StoreElsewhere) else code
        raise DeskError(code, f"{error.what}.", error.fix) from error
    except TopologyConflict as error:
        fix = "It was made with other settings. Use another server, or remove it there."
        raise DeskError(Exit.CONFLICT, f"{error}.", fix) from error
    except Unreachable as error:
        raise DeskError(Exit.UNREACHABLE, f"{error}.", "Is JetStream enabled there?") from error
    except BusError as error:
        raise DeskError(Exit.UNREACHABLE, f"{error}.") from error
