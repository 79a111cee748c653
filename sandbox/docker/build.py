"""Make the image that Docker runs programs in."""

import asyncio
import re
import tempfile
from collections.abc import Iterator, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from sandbox import rootfs
from sandbox.docker.engine import Engine
from sandbox.docker.packages import check_names, fetch
from sandbox.errors import EngineError
from sandbox.policy import Policy
from sandbox.rootfs import PACKAGES, Progress

DEFAULT_BASE = "python:3.12-slim"
HOST_BASE = "coo-sandbox-base"
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")
_BUILD_TIMEOUT_S = 600.0  # between two signs of life; an apt or pip step is silent for a while


async def build_image(
    tag: str = "coo-sandbox:latest",
    base: str | None = None,
    progress: Progress = lambda line: None,
    *,
    packages: Sequence[str] = (),
    docker_host: str = Policy().docker_host,
) -> str:
    """Build the image and return its id.

    base: an image to build on; None tries python:3.12-slim, here or from its registry, and falls back to a
        base made of this machine's own Python; "host" makes that one at once.
    packages: Python packages besides `PACKAGES`, each with or without `==VERSION`.
    progress: called with one line at a time, from another thread.

    Raises:
        EngineError: the engine cannot be used, or a step of the build failed; `reason` has its last line.
        PackageError: a package cannot be had.
    """
    check_names(packages)
    return await asyncio.to_thread(_build, tag, base, packages, progress, docker_host)


def _build(tag: str, base: str | None, packages: Sequence[str], progress: Progress, docker_host: str) -> str:
    engine = Engine(docker_host, 2, _BUILD_TIMEOUT_S)
    try:
        from_host = base == "host"
        if base is None:
            base, from_host = _find_base(engine, progress)
        if from_host:
            base = _host_base(engine, packages, progress)
        assert base is not None
        pinned = base if from_host else engine.pinned(base)
        progress(f"building on {pinned}")
        wanted = (
            {"APT_DEPS": "", "PIP_DEPS": ""} if from_host else {"PIP_DEPS": " ".join((*PACKAGES, *packages))}
        )
        arguments = {"BASE_IMAGE": pinned} | wanted
        with resources.as_file(resources.files("sandbox.docker").joinpath("image")) as context:
            for line in _lines(engine.build(context, tag, arguments, network=not from_host)):
                progress(line)
        image_id = engine.image_id(tag)
        progress(f"{tag} is {image_id}")
        return image_id
    finally:
        engine.close()


def _find_base(engine: Engine, progress: Progress) -> tuple[str, bool]:
    """Return the default base if it is here or can be fetched, else the wish for one of the host's Python."""
    try:
        engine.image_id(DEFAULT_BASE)
        return DEFAULT_BASE, False
    except EngineError as error:
        if error.kind != "image_missing":
            raise
    progress(f"fetching {DEFAULT_BASE}")
    try:
        engine.pull(DEFAULT_BASE)
        return DEFAULT_BASE, False
    except EngineError as error:
        progress(f"{error.reason}")
        progress("no registry in reach: building on this machine's own Python instead")
        return "", True


def _host_base(engine: Engine, packages: Sequence[str], progress: Progress) -> str:
    with tempfile.TemporaryDirectory(prefix="coo-sandbox-") as folder:
        archive, fetched = Path(folder, "base.tar"), Path(folder, "packages")
        fetched.mkdir()
        fetch(packages, fetched, progress)
        tree = rootfs.collect_tree(progress, fetched)
        with archive.open("wb") as out:
            rootfs.write_tar(tree, out)
        progress(f"importing {len(tree)} files, {archive.stat().st_size // 2**20} MiB, as {HOST_BASE}:latest")
        return engine.import_base(archive, HOST_BASE, "latest")


def _lines(events: Iterator[dict[str, Any]]) -> Iterator[str]:
    """Yield the engine's build output line by line.

    Raises:
        EngineError: a step failed.
    """
    for event in events:
        if "error" in event:
            raise EngineError("docker_api_error", f"build: {event['error']}", "see the lines before this one")
        for line in str(event.get("stream", "")).splitlines():
            if readable := _COLOURS.sub("", line).strip():
                yield readable
