"""What a person or a program is told while a company runs."""

from __future__ import annotations

import errno
import json
import os
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from actors.cli.sandbox import Found
from actors.host.datadir import DataDirError, default_path, short
from actors.host.nats.binary import configuration_file
from actors.host.nats.server import syncs_always
from actors.host.supervisor import ProcessEvent
from actors.money import usd
from actors.scrub import Scrubber

if TYPE_CHECKING:
    from actors.host.launch import Company
    from config.settings import Settings

SCRIPTED = "scripted — answers are canned and prices are invented"
NOT_ENFORCED = "authority: not enforced"
_NO_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO)
ANYBODY = "anybody who reaches that server can write any mail, approvals too (coo setup --print-conf)"


class Console:
    """What a person or a program is told while the company runs."""

    def __init__(self, as_json: bool) -> None:
        self._json = as_json
        self._down: set[str] = set()

    def ready(self, company: Company, isolation: Found, seconds: float, *, hints: bool = True) -> None:
        """Say where everything is, and with `hints` what can be typed now."""
        told = facts(company, isolation, seconds)
        if self._json:
            self._line(**told)
        else:
            print("\n".join([block(told), next_steps(told)] if hints else [block(told)]), flush=True)
        for line in warnings(told):
            self.note(line)

    def event(self, event: ProcessEvent) -> None:
        """Report what becomes of a process; the first start of each is not told."""
        back = event.name in self._down
        if event.kind in ("crashed", "gave_up", "stuck"):
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
        """Tell a person something that is not data."""
        _write(f"coo: {line}", sys.stderr)

    def _line(self, **fields: Any) -> None:
        _write(json.dumps(fields), sys.stdout)


def _write(line: str, stream: TextIO) -> None:
    """Write a line at once; a disk without room, which it may be about, must not end what it tells of."""
    try:
        print(line, file=stream, flush=True)
    except OSError as error:
        if error.errno not in _NO_DISK:
            raise


def _told(event: ProcessEvent) -> str:
    match event.kind:
        case "started":
            if event.pid is None:
                return f"the {event.name} takes messages again"
            again = "writes its files again" if event.pid == os.getpid() else "runs again"
            return f"{event.name} {again} (pid {event.pid})"
        case "crashed":
            again = f"in {event.restart_in_s:.1f} s" if event.restart_in_s else "at once"
            return f"{event.name} died ({event.reason}); starting it again {again}"
        case "stuck" if event.pid == os.getpid():
            return f"coo up cannot write its files ({event.reason}); the company goes on, log lines are lost"
        case "stuck" if event.pid is None and event.returncode is None:
            return (
                f"the {event.name} takes no message ({event.reason}); nothing is lost, everybody waits for it"
            )
        case "stuck":
            calm = "nothing is lost, and it goes on by itself when that is mended"
            return f"{event.name} cannot go on ({event.reason}); {calm}"
        case "gave_up":
            said = [line for line in event.tail.splitlines() if not line.startswith("{")][-1:]
            why = f": {said[0]}" if said else ""
            return f"{event.name} is given up ({event.reason}){why}; see coo logs {event.name}"
        case _:
            return ""


def facts(company: Company, isolation: Found, seconds: float) -> dict[str, Any]:
    """Return where everything is, as the JSON that `coo up` prints when it is ready."""
    from importlib.metadata import version  # takes long to import

    plan, server, box = company.plan, company.server, company.plan.settings.sandbox
    walls = f"no network, {box.memory_bytes // 2**20} MiB, {box.timeout_s:g} s"
    return {
        "event": "ready",
        "version": version("coo-actor"),
        "url": Scrubber(()).text(company.url),
        "pid": os.getpid(),
        "data_dir": str(plan.data_dir.path),
        "ephemeral": plan.ephemeral,
        "server": {"pid": server.pid, "version": server.version, "origin": company.origin}
        if server
        else None,
        "authority": "enforced" if company.guarded else "not enforced",
        "actors": company.supervisor.pids(),
        "lost": dict(company.lost),
        "actors_landlock": company.confined.landlock if company.confined else None,
        "actors_missing": list(company.confined.missing) if company.confined else ["it cannot be found out"],
        "sandbox": isolation.backend,
        "sandbox_walls": walls if isolation.backend else None,
        "sandbox_reason": isolation.reason,
        "sandbox_fix": isolation.fix,
        "model": _model(plan.settings),
        "durability": _durability(company),
        "limits": _limits(company),
        "seconds": round(seconds, 3),
    }


def warnings(told: dict[str, Any]) -> list[str]:
    """Return what a person must know before relying on this company."""
    lines = []
    if told["authority"] != "enforced":
        lines.append(f"{NOT_ENFORCED}: {ANYBODY}")
    if told["actors_missing"]:
        what = "; ".join(told["actors_missing"])
        lines.append(f"an actor's process is not confined in all ways ({what}): see SECURITY.md")
    if told["sandbox"] is None:
        lines.append(f"no sandbox, so no program will run: {told['sandbox_reason']}")
        lines.append(f"fix: {told['sandbox_fix']}")
    return lines


def block(told: dict[str, Any], stop: str = "Ctrl-C to stop") -> str:
    """Write the facts of a company that is ready, for a person."""
    server, model, limits = told["server"], told["model"], told["limits"]
    by = (
        f"nats-server {server['version']} (pid {server['pid']}, {server['origin']})" if server else "not ours"
    )
    names = [f"{name} {'up' if name in told['actors'] else 'DOWN'}" for name in told["actors"] | told["lost"]]
    lines = [
        f"COO {told['version']:<40} {stop}",
        f"  NATS       {told['url']}   {by}",
        f"  Data       {_short(told['data_dir'])}   {_kept(told)}",
        f"  Model      {SCRIPTED if model == 'scripted' else model}",
        f"  Sandbox    {told['sandbox']} ({told['sandbox_walls']})"
        if told["sandbox"]
        else "  Sandbox    NONE",
        f"  Limits     ${limits['mission_usd']} per mission · ${limits['daily_usd']} per day · "
        f"${limits['monthly_usd']} per month",
        f"  Actors     {' · '.join(names)}",
    ]
    if told["authority"] != "enforced":
        lines.append(f"  Authority  {NOT_ENFORCED}")
    return "\n".join([*lines, f"Ready in {told['seconds']:.1f} s"])


def _kept(told: dict[str, Any]) -> str:
    """Say what becomes of the data: only what is known of the server that has it."""
    if told["server"] is None:
        here = "removed at the end; " if told["ephemeral"] else ""
        return f"{here}the log is on that server, and whether it syncs it to disk is not known"
    if told["ephemeral"]:
        return "removed at the end"
    if told["durability"] == "synced":
        return "synced to disk before a message counts as stored"
    return "synced to disk now and then: a power cut can lose the newest messages"


def _durability(company: Company) -> str:
    """Return what is known of the store: synced before each ack, `unsynced`, or `unknown`."""
    if company.server is None:
        return "unknown"
    return "synced" if syncs_always(configuration_file()) else "unsynced"


def _limits(company: Company) -> dict[str, Any]:
    """Return the limits in force: what the CEO has set since the settings were sent stands."""
    said: dict[str, Any] = company.plan.settings.limits.model_dump()
    now = company.limits
    if now is None or now.origin == "settings":
        return said
    return {
        **said,
        "daily_usd": usd(now.day_microusd),
        "monthly_usd": usd(now.month_microusd),
        "mission_usd": usd(now.mission_microusd),
        "safety_margin_percent": now.margin_percent,
        "call_tokens": now.call_tokens,
        "slots": now.slots,
    }


def next_steps(told: dict[str, Any]) -> str:
    """Write what can be typed now."""
    there = elsewhere(told)
    lines = [
        "",
        f'Try it:    coo mission "Write fizzbuzz" --budget 1.00{there}',
        f"Watch it:  coo logs -f{there}",
    ]
    return "\n".join([*lines, f"Its log:   {looking(told['data_dir'])}"] if told["server"] else lines)


def elsewhere(told: dict[str, Any]) -> str:
    """Return the option by which other commands find this company; nothing if they find it alone."""
    try:
        default = str(default_path(os.environ))
    except DataDirError:
        default = ""
    return "" if told["data_dir"] == default else f" --data-dir {shlex.quote(told['data_dir'])}"


def looking(data_dir: str) -> str:
    """Return the line that shows the log of a company on our own server to who has the `nats` command."""
    return f"(. {shlex.quote(f'{data_dir}/run/nats.env')}; nats --inbox-prefix _INBOX_admin stream view COO)"


def _short(path: str) -> str:
    return short(Path(path))


def _model(settings: Settings) -> str:
    """Name the models in use: one name if every role has the same."""
    names: dict[str, str] = settings.models.roles.model_dump()
    if len(set(names.values())) == 1:
        return next(iter(names.values()))
    return ", ".join(f"{role}: {name}" for role, name in names.items())
