"""Real engines: a backend of each kind, and what is left on the machine after a test."""

import asyncio
import os
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import pytest
from private_dockerd import PrivateDockerd

from sandbox import Backend, EngineError, Policy, Unavailable, choose_backend
from sandbox.choose import Choice
from sandbox.docker.build import build_image
from sandbox.docker.containers import owner_from
from sandbox.docker.engine import Engine
from sandbox.owner import is_dead

Until = Callable[[Callable[[], object]], Awaitable[None]]

# Small enough to be hit in a moment, large enough for Python and pytest.
POLICY = Policy(
    timeout_s=60.0,
    memory_bytes=128 * 2**20,
    pids=32,
    workspace_bytes=16 * 2**20,
    workspace_inodes=512,
    tmp_bytes=4 * 2**20,
    output_bytes=1000,
    flood_bytes=4 * 2**20,
    files_bytes=2 * 2**20,
    files_count=20,
    file_bytes=2**20,
)


def _without_docker(trouble: str) -> None:
    if os.environ.get("COO_REQUIRE_DOCKER") == "1":
        pytest.fail(f"COO_REQUIRE_DOCKER=1, but: {trouble}", pytrace=False)
    pytest.skip(f"no Docker engine: {trouble}")


@pytest.fixture(scope="session")
def image() -> str:
    """Name the image, built now if the engine has none; skip with a reason when no engine answers."""
    try:
        engine = Engine(POLICY.docker_host, 1)
    except EngineError as error:
        _without_docker(error.reason)
    try:
        engine.image_id(POLICY.image)
    except EngineError as error:
        if error.kind != "image_missing":
            _without_docker(error.reason)
        asyncio.run(build_image(POLICY.image))
    finally:
        engine.close()
    return POLICY.image


def left_by_tests(engine: Engine) -> list[str]:
    """Return containers and volumes of this process or a dead one; others may use the engine meanwhile."""
    made = [(found.name, found.labels) for found in engine.made_here()] + engine.volumes()
    owners = [(name, owner_from(labels)) for name, labels in made]
    return sorted(name for name, owner in owners if owner.pid == os.getpid() or is_dead(owner))


@pytest.fixture
def engine(image: str) -> Iterator[Engine]:
    """Ask the engine what is there; fail if the test leaves a container behind."""
    engine = Engine(POLICY.docker_host, 2)
    before = left_by_tests(engine)  # of a run that was killed
    yield engine
    left = set(left_by_tests(engine)) - set(before)
    engine.close()
    assert not left


@pytest.fixture(scope="session")
def spare_dockerd(image: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrivateDockerd]:
    """Run an engine of the tests' own, with the image, that a test may kill and start again."""
    if os.geteuid() != 0 or shutil.which("dockerd", path=f"{os.environ['PATH']}:/usr/sbin:/sbin") is None:
        pytest.skip("a second engine needs root and dockerd")
    dockerd = PrivateDockerd(tmp_path_factory.mktemp("dockerd"))
    try:
        dockerd.start()
        dockerd.copy_image(POLICY.docker_host, image)
        yield dockerd
    finally:
        dockerd.stop()


@pytest.fixture(params=[pytest.param("docker", marks=pytest.mark.docker), "bubblewrap"])
def choice(request: pytest.FixtureRequest) -> Choice:
    """Name each backend in turn."""
    if request.param == "docker":
        request.getfixturevalue("engine")
    chosen: Choice = request.param
    return chosen


@pytest.fixture
async def backend(choice: Choice) -> AsyncIterator[Backend]:
    """Run orders on each backend in turn, within small limits."""
    try:
        chosen = await choose_backend(choice, POLICY)
    except Unavailable as error:
        pytest.skip(f"{choice}: {error.reason}")
    yield chosen
    await chosen.close()


@pytest.fixture
async def docker_backend(engine: Engine) -> AsyncIterator[Backend]:
    """Run orders in Docker."""
    chosen = await choose_backend("docker", POLICY)
    yield chosen
    await chosen.close()


@pytest.fixture
async def bubblewrap_backend() -> AsyncIterator[Backend]:
    """Run orders under bubblewrap."""
    try:
        chosen = await choose_backend("bubblewrap", POLICY)
    except Unavailable as error:
        pytest.skip(f"bubblewrap: {error.reason}")
    yield chosen
    await chosen.close()


@pytest.fixture
def until() -> Until:
    """Wait until a condition holds; fail after 20 s."""

    async def wait(condition: Callable[[], object]) -> None:
        async with asyncio.timeout(20):
            while not condition():
                await asyncio.sleep(0.02)

    return wait


@pytest.fixture
def host_pids() -> Callable[[str], list[int]]:
    """Find the machine's processes whose command line has a word."""

    def find(word: str) -> list[int]:
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                words = (folder / "cmdline").read_bytes()
            except OSError:
                continue
            if word.encode() in words and int(folder.name) != os.getpid():
                found.append(int(folder.name))
        return found

    return find
