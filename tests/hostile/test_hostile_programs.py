"""Every program in `programs/` is run on every backend, and none gets through.

A program says `BREACH` when it got what it wanted. Its docstring says how it must end, a `key: value` a
line:

    ends: ok | failed     the statuses that are right
    says: contained       the whole of its stdout; `any` when it does not matter (also when missing)
    hits: flood_bytes     limits that must be named, among others
    brings: a, b          the files that come out; `any` when it does not matter; none when missing
    timeout_s: 2          its deadline; the run must be over one second later
    stdin_bytes: 10       how much it is given to read
    machine: x86_64       the only machine it can be run on

`bubblewrap ends: …` is what differs there; docs/sandbox.md says why.
"""

import ast
import asyncio
import contextlib
import os
import platform
import secrets
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import docker
import pytest
import pytest_asyncio

from sandbox import Backend, EngineError, Order, Outcome, Policy, Unavailable, choose_backend
from sandbox.choose import Choice
from sandbox.docker.build import build_image
from sandbox.docker.containers import owner_from
from sandbox.docker.engine import Engine

pytestmark = pytest.mark.slow

PROGRAMS = sorted(Path(__file__).parent.joinpath("programs").glob("*.py"))
KEYS = {"ends", "says", "hits", "brings", "timeout_s", "stdin_bytes", "machine"}
MARK = f"hostile-{secrets.token_hex(6)}"  # an argument of every program, to find what it left running
CORE_PATTERN = Path("/proc/sys/kernel/core_pattern")
LEFT_ON_DISK_BYTES = 5_000_000  # the engine writes logs and a database

POLICY = Policy(
    timeout_s=20.0,
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


def expected(program: Path, backend: str) -> dict[str, str]:
    """Return what a program's docstring says for a backend."""
    text = ast.get_docstring(ast.parse(program.read_text())) or ""
    lines = [line.partition(": ")[::2] for line in text.splitlines()[1:] if line]
    own = {key: value for key, value in lines if " " not in key}
    own |= {key.removeprefix(f"{backend} "): value for key, value in lines if key.startswith(f"{backend} ")}
    assert "ends" in own, program
    assert set(own) <= KEYS, program
    return own


def source(program: Path) -> bytes:
    return program.read_bytes()


def names(listed: str) -> set[str]:
    return {name for one in listed.split(", ") if (name := one.strip())}


def host_processes() -> list[str]:
    """Return the machine's processes that a hostile program began."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if MARK.encode() in (folder / "cmdline").read_bytes() and int(folder.name) != os.getpid():
                found.append(folder.name)
    return found


def disk_bytes(folder: Path) -> int:
    """Return what a folder takes on the disk; files that vanish meanwhile count nothing."""
    used = 0
    for place, _, files in os.walk(folder):
        for name in files:
            with contextlib.suppress(OSError):
                used += os.lstat(os.path.join(place, name)).st_blocks * 512
    return used


def until(condition: object, timeout_s: float = 20.0) -> None:
    end = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end, "something was left"
        time.sleep(0.05)


# -- where they run -----------------------------------------------------------------------------------------


def require_docker(trouble: str) -> None:
    if os.environ.get("COO_REQUIRE_DOCKER") == "1":
        pytest.fail(f"COO_REQUIRE_DOCKER=1, but: {trouble}", pytrace=False)
    pytest.skip(f"no Docker engine: {trouble}")


@pytest.fixture(scope="module", params=[pytest.param("docker", marks=pytest.mark.docker), "bubblewrap"])
def choice(request: pytest.FixtureRequest) -> Iterator[Choice]:
    """Name each backend in turn; afterwards nothing may be left of its runs."""
    chosen: Choice = request.param
    before = CORE_PATTERN.read_bytes()
    with nothing_left_in_docker() if chosen == "docker" else contextlib.nullcontext():
        yield chosen
        until(lambda: not host_processes())
    assert CORE_PATTERN.read_bytes() == before


@contextlib.contextmanager
def nothing_left_in_docker() -> Iterator[None]:
    """Fail if a container, a volume or disk space is left of what this process ran."""
    try:
        engine = Engine(POLICY.docker_host, 1)
    except EngineError as error:
        require_docker(error.reason)
    try:
        engine.image_id(POLICY.image)
    except EngineError:
        asyncio.run(build_image(POLICY.image))
    api = docker.APIClient(POLICY.docker_host)
    # Images are not a program's to leave; others may be building some.
    stores = [Path(api.info()["DockerRootDir"], name) for name in ("containers", "volumes", "tmp")]
    before = sum(map(disk_bytes, stores))
    yield
    until(lambda: not [one.name for one in engine.made_here() if owner_from(one.labels).pid == os.getpid()])
    assert [name for name, labels in engine.volumes() if owner_from(labels).pid == os.getpid()] == []
    until(lambda: sum(map(disk_bytes, stores)) - before < LEFT_ON_DISK_BYTES)
    api.close()
    engine.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def backend(choice: Choice) -> AsyncIterator[Backend]:
    """Run hostile programs on each backend in turn."""
    try:
        chosen = await choose_backend(choice, POLICY)
    except Unavailable as error:
        pytest.skip(f"{choice}: {error.reason}")
    yield chosen
    await chosen.close()


@pytest.fixture
def canary(tmp_path: Path) -> Iterator[Path]:
    """Make a file of the host's that no program may read or change."""
    file = tmp_path / "canary"
    file.write_text("a secret of the host")
    yield file
    assert file.read_text() == "a secret of the host"


# -- the programs -------------------------------------------------------------------------------------------


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.stem)
async def test_it_does_not_get_through(
    program: Path, backend: Backend, canary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = expected(program, backend.name)
    if wanted.get("machine", platform.machine()) != platform.machine():
        pytest.skip(f"knows the calls of {wanted['machine']} only")
    monkeypatch.setenv("SOME_API_KEY", "hostile-secret")
    order = Order(
        id=f"{MARK}-{program.stem}",
        argv=("python", "main.py", MARK, str(canary)),
        files={"main.py": source(program)},
        timeout_s=float(wanted.get("timeout_s", "10")),
        stdin=b"x" * int(wanted.get("stdin_bytes", "0")),
    )
    began = time.monotonic()
    outcome = await backend.run(order)
    compare(outcome, wanted)
    if outcome.status == "timeout":
        assert outcome.wall_ms <= 1000 * order.timeout_s + 1000
    assert time.monotonic() - began < order.timeout_s + 10


def compare(outcome: Outcome, wanted: dict[str, str]) -> None:
    written = "".join((outcome.stdout.head, outcome.stdout.tail, outcome.stderr.head, outcome.stderr.tail))
    assert "BREACH" not in written
    assert outcome.status in wanted["ends"].split(" | "), (outcome.status, outcome.reason, written)
    says = wanted.get("says", "any").encode("ascii", "backslashreplace").decode("unicode_escape")
    if says != "any":
        assert outcome.stdout.head.removesuffix("\n") == says, written
    assert names(wanted.get("hits", "")) <= set(outcome.limits_hit)
    brought = {file.path for file in outcome.files}
    if wanted.get("brings") != "any":
        assert brought == names(wanted.get("brings", ""))
    assert len(brought) <= POLICY.files_count
    assert sum(len(file.content) for file in outcome.files) <= POLICY.files_bytes
    assert not [file.path for file in outcome.files if b"root:" in file.content or b"secret" in file.content]
    assert len(outcome.stdout.head + outcome.stdout.tail) <= POLICY.output_bytes


def test_every_program_says_how_it_must_end() -> None:
    for program in PROGRAMS:
        for name in ("docker", "bubblewrap"):
            expected(program, name)
