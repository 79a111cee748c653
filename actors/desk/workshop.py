"""`coo sandbox`: make the image that programs run in, and see what isolates them on this machine."""

from __future__ import annotations

import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from actors.desk.errors import DeskError, Exit
from actors.desk.main import JsonOption, run
from actors.desk.settings import ConfigOption, load_settings

if TYPE_CHECKING:
    import asyncio

    from config.sections import Sandbox
    from sandbox import Choice, Policy


@dataclass(frozen=True)
class Found:
    """What a choice of backend comes to on this machine; `backend` is None when it does not work."""

    choice: str
    backend: str | None
    reason: str = ""
    fix: str = ""


def register(app: typer.Typer) -> None:
    """Add `coo sandbox`."""
    group = typer.Typer(no_args_is_help=True)
    group.command("build")(build)
    group.command("doctor")(doctor)
    app.add_typer(group, name="sandbox", help="What programs run in.")


def build(
    tag: Annotated[Optional[str], typer.Option("--tag", help="The image's name.")] = None,  # noqa: UP045
    base: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option("--base", help="An image to build on; `host` is this machine's own Python."),
    ] = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Build the Docker image; without a registry in reach, on this machine's own Python."""
    from sandbox.build import build_image
    from sandbox.errors import EngineError

    wanted = load_settings(config).sandbox
    tag = tag or wanted.image
    try:
        built = run(build_image(tag, base, _progress, docker_host=wanted.docker_host))
    except EngineError as error:
        raise DeskError(Exit.UNREACHABLE, f"{error.reason}.", error.fix) from error
    print(json.dumps({"image": tag, "id": built}) if as_json else f"{tag} {built}")


def doctor(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Try each backend with programs that look for a way out; exit code 6 if the configured one fails."""
    wanted = load_settings(config).sandbox
    found = run(_examined(wanted))
    chosen = found[wanted.backend]
    if as_json:
        print(json.dumps({"configured": wanted.backend, "backends": [asdict(f) for f in found.values()]}))
    else:
        for each in (found["docker"], found["bubblewrap"]):
            print(f"{each.choice:11} {'works' if each.backend else f'does not work: {each.reason}'}")
        print(f"{'configured':11} {wanted.backend}: {chosen.backend or 'nothing works'}")
    if chosen.backend is None:
        raise DeskError(Exit.UNREACHABLE, f"No sandbox, so nothing can run: {chosen.reason}.", chosen.fix)


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
    return {"docker": docker, "bubblewrap": bubblewrap, "auto": Found("auto", *_rest(auto))}


def _rest(found: Found) -> tuple[str | None, str, str]:
    return found.backend, found.reason, found.fix


async def examine(choice: Choice, wanted: Sandbox) -> Found:
    """Choose a backend and let programs look for a way out of it."""
    from sandbox import Unavailable, choose_backend, self_test

    try:
        backend = await choose_backend(choice, policy(wanted), _progress)
    except Unavailable as error:
        return Found(choice, None, error.reason, error.fix)
    try:
        if backend.name == "docker":  # the other one was tested when it was chosen
            await self_test(backend)
        return Found(choice, backend.name)
    except Unavailable as error:
        return Found(choice, None, error.reason, error.fix)
    finally:
        await backend.close()


async def find_backend(wanted: Sandbox) -> Found:
    """Say what will isolate programs, as the sandbox process will find it."""
    from sandbox import Unavailable, choose_backend

    try:
        backend = await choose_backend(wanted.backend, policy(wanted), _progress)
    except Unavailable as error:
        return Found(wanted.backend, None, error.reason, error.fix)
    await backend.close()
    return Found(wanted.backend, backend.name)


@asynccontextmanager
async def finding_backend(wanted: Sandbox) -> AsyncIterator[asyncio.Task[Found]]:
    """Look for what will isolate programs, beside what is done in the block."""
    import asyncio

    looking = asyncio.create_task(find_backend(wanted))
    try:
        yield looking
    finally:
        looking.cancel()
        # Waited for: the end of the loop would cancel the killing of a sandbox too, and then wait for ever.
        await asyncio.wait({looking})


def policy(wanted: Sandbox) -> Policy:
    """Return the limits of every run as the sandbox takes them."""
    from sandbox import Policy

    return Policy(**wanted.model_dump(exclude={"backend"}))


def _progress(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
