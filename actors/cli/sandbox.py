"""`coo sandbox`: make the image that programs run in, and see what isolates them on this machine."""

from __future__ import annotations

import asyncio
import json
import secrets
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from actors.cli.config import ConfigOption
from actors.cli.options import JsonOption, group, run
from actors.desk.configuration import load_settings
from actors.errors import Kind, UserError
from actors.plain import plain
from actors.terminal import write_raw
from sandbox import (
    Choice,
    FolderRefused,
    Order,
    OrderRefused,
    Outcome,
    Policy,
    Unavailable,
    choose_backend,
    self_test,
)
from sandbox.errors import EngineError, PackageError
from sandbox.folders import read_folder, write_folder
from sandbox.obeyed import obeyed
from sandbox.order import BackendName, whole_text

if TYPE_CHECKING:
    from config.sections import Sandbox


NOT_ITS_OWN_END = 70
"""Exit code of `run` when the program did not end by itself."""


@dataclass(frozen=True)
class Found:
    """What a choice of backend comes to on this machine; `backend` is None when it does not work."""

    choice: str
    backend: str | None
    reason: str = ""
    fix: str = ""
    details: dict[str, str] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


def build(
    tag: Annotated[Optional[str], typer.Option("--tag", help="The image's name.")] = None,
    base: Annotated[
        Optional[str],
        typer.Option("--base", help="An image to build on; `host` is this machine's own Python."),
    ] = None,
    packages: Annotated[
        Optional[list[str]],
        typer.Option("--with", metavar="PKG", help="A Python package more, as NAME or NAME==VERSION."),
    ] = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Build the Docker image.

    Without a registry in reach it is made of this machine's own Python.
    """
    from sandbox.docker.build import build_image  # takes long to import

    wanted = load_settings(config).sandbox
    tag = tag or wanted.image
    try:
        built = run(
            build_image(tag, base, _progress, packages=packages or (), docker_host=wanted.docker_host)
        )
    except PackageError as error:
        raise UserError(Kind.USAGE, f"{error.reason}.", error.fix) from error
    except EngineError as error:
        raise UserError(Kind.UNREACHABLE, f"{error.reason}.", error.fix) from error
    print(json.dumps({"image": tag, "id": built}) if as_json else f"{tag} {built}")


def run_program(
    argv: Annotated[list[str], typer.Argument(metavar="ARGV", help="The program and its arguments.")],
    backend: Annotated[
        Optional[str],
        typer.Option("--backend", help="auto, docker or bubblewrap; the configured one without it."),
    ] = None,
    source: Annotated[
        Optional[Path], typer.Option("--input", help="A folder whose files the program gets.")
    ] = None,
    timeout_s: Annotated[float, typer.Option("--timeout", help="Seconds it may run.")] = 60.0,
    out: Annotated[
        Optional[Path], typer.Option("--out", help="A folder for the files it wrote or changed.")
    ] = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Run any program as a mission would.

    Ends with its exit code, or 70 when it did not end by itself.
    """
    wanted = load_settings(config).sandbox
    choice = _choice(backend or wanted.backend)
    limits = policy(wanted.model_copy(update={"pool": 0}))
    try:
        outcome = run(_run_once(choice, limits, _order(argv, source, timeout_s, limits)))
        if out is not None:
            for path, tool in obeyed(one.path for one in outcome.files).items():
                _progress(f"coo: {plain(path, 200)} is obeyed by {tool}: read it before you use the folder")
            write_folder(outcome, out)
    except FolderRefused as error:
        raise UserError(Kind.USAGE, f"{error.reason}.", f"{error.fix.capitalize()}.") from error
    except (OrderRefused, UnicodeEncodeError) as error:
        raise UserError(Kind.USAGE, f"{error}.", "coo sandbox run --help says what can be asked.") from error
    if as_json:
        print(json.dumps(_facts(outcome)))
    else:
        _show(outcome)
    own_end = outcome.status in ("ok", "failed") and outcome.exit_code is not None
    raise typer.Exit(outcome.exit_code or 0 if own_end else NOT_ITS_OWN_END)


def _choice(name: str) -> Choice:
    match name:
        case "auto" | "docker" | "bubblewrap":
            return name
    raise UserError(
        Kind.USAGE, f"There is no backend {plain(name, 80)}.", "Choose auto, docker or bubblewrap."
    )


def _order(argv: list[str], source: Path | None, timeout_s: float, limits: Policy) -> Order:
    files = {} if source is None else read_folder(source, limits)
    return Order(id=f"by-hand-{secrets.token_hex(8)}", argv=tuple(argv), files=files, timeout_s=timeout_s)


async def _run_once(choice: Choice, limits: Policy, order: Order) -> Outcome:
    try:
        backend = await choose_backend(choice, limits, _progress)
    except Unavailable as error:
        tried: BackendName = "bubblewrap" if choice == "bubblewrap" else "docker"
        return Outcome(status="not_started", backend=tried, reason=error.reason, fix=error.fix)
    try:
        return await backend.run(order)
    finally:
        await backend.close()


def _facts(outcome: Outcome) -> dict[str, object]:
    return {
        "status": outcome.status,
        "exit_code": outcome.exit_code,
        "stdout": whole_text(outcome.stdout),
        "stderr": whole_text(outcome.stderr),
        "files": [{"path": one.path, "sha256": one.sha256, "size": one.size} for one in outcome.files],
        "skipped": [{"path": one.path, "reason": one.reason} for one in outcome.skipped],
        "limits_hit": list(outcome.limits_hit),
        "backend": outcome.backend,
        "wall_ms": outcome.wall_ms,
        "reason": outcome.reason,
        "fix": outcome.fix,
    }


def _show(outcome: Outcome) -> None:
    for stream, target in ((outcome.stdout, sys.stdout), (outcome.stderr, sys.stderr)):
        write_raw(target, whole_text(stream).encode("utf-8", "replace"))
    if outcome.status not in ("ok", "failed"):
        _progress(f"coo: {outcome.status}: {plain(outcome.reason, 400)}")
    if outcome.fix:
        _progress(f"     {outcome.fix}")
    for one in outcome.skipped:
        _progress(f"coo: left in the sandbox: {plain(one.path, 200)}: {one.reason}")


def doctor(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Try each backend with programs that look for a way out.

    Exit code 6 if the configured one fails.
    """
    wanted = load_settings(config).sandbox
    found = run(_examined(wanted))
    chosen = found[wanted.backend]
    if as_json:
        print(json.dumps({"configured": wanted.backend, "backends": [asdict(f) for f in found.values()]}))
    else:
        for each in (found["docker"], found["bubblewrap"]):
            print(f"{each.choice:11} {'works' if each.backend else f'does not work: {each.reason}'}")
            for line in (*(f"{name} {value}" for name, value in each.details.items()), *each.warnings):
                _progress(f"{'':11} {line}")
        print(f"{'configured':11} {wanted.backend}: {chosen.backend or 'nothing works'}", flush=True)
    if chosen.backend is None:
        raise UserError(Kind.UNREACHABLE, f"No sandbox, so nothing can run: {chosen.reason}.", chosen.fix)


async def _examined(wanted: Sandbox) -> dict[str, Found]:
    docker = await examine("docker", wanted)
    bubblewrap = await examine("bubblewrap", wanted)
    auto = docker if docker.backend else bubblewrap
    if auto.backend is None:
        auto = Found(
            "auto",
            None,
            f"Docker: {docker.reason}; bubblewrap: {bubblewrap.reason}",
            f"{docker.fix}; or: {bubblewrap.fix}",
        )
    return {"docker": docker, "bubblewrap": bubblewrap, "auto": replace(auto, choice="auto")}


async def examine(choice: Choice, wanted: Sandbox) -> Found:
    """Choose a backend and let programs look for a way out of it."""
    try:
        backend = await choose_backend(choice, policy(wanted), _progress)
    except Unavailable as error:
        return Found(choice, None, error.reason, error.fix)
    try:
        if backend.name == "docker":  # the other one was tested when it was chosen
            await self_test(backend)
        details, warnings = await backend.describe()
        return Found(choice, backend.name, details=details, warnings=warnings)
    except Unavailable as error:
        return Found(choice, None, error.reason, error.fix)
    finally:
        await backend.close()


async def find_backend(wanted: Sandbox) -> Found:
    """Say what will isolate programs, as the sandbox process will find it."""
    try:
        backend = await choose_backend(wanted.backend, policy(wanted), _progress)
    except Unavailable as error:
        return Found(wanted.backend, None, error.reason, error.fix)
    await backend.close()
    return Found(wanted.backend, backend.name)


@asynccontextmanager
async def finding_backend(wanted: Sandbox) -> AsyncIterator[asyncio.Task[Found]]:
    """Look for what will isolate programs, beside what is done in the block."""
    looking = asyncio.create_task(find_backend(wanted))
    try:
        yield looking
    finally:
        looking.cancel()
        # Waited for: the end of the loop would cancel the killing of a sandbox too, and then wait for ever.
        await asyncio.wait({looking})


def policy(wanted: Sandbox) -> Policy:
    """Return the limits of every run as the sandbox takes them."""
    return Policy(**wanted.model_dump(exclude={"backend"}))


def _progress(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


GROUP = group()
GROUP.command("build")(build)
GROUP.command("doctor")(doctor)
GROUP.command("run")(run_program)
