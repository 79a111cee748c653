"""What code that has taken an actor's process finds: none of the others' secrets, wherever it looks.

The code gets in by the interpreter: a start-up file of a virtual environment made for the test waits for a
signal and then runs within the actor's own thread, with all that the actor has kept.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import tempfile
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from acceptance.running import ACTORS, Company, until

from actors.host.nats.binary import find
from actors.process import kernel

KEYS = {"OPENROUTER_API_KEY": "sk-or-0123456789abcdef0123456789abcdef"}
MARK = "FOUND:"

TRAP = """
    import json, os, signal, sys, threading

    def look(*_):
        from looking import findings
        print("FOUND:" + json.dumps(findings()), file=sys.stderr, flush=True)

    if sys.argv[:1] == ["-m"] and "actors.process.main" in " ".join(sys.orig_argv):
        signal.signal(signal.SIGUSR2, look)
"""

LOOKING = '''
"""Everything that can be tried without a right of one's own; what is found is told as text."""

import ctypes, glob, os, re, resource, signal, socket, subprocess, sys

DATA, DOCKER, PIDS = @DATA@, @DOCKER@, @PIDS@
PROC = ("environ", "mem", "cmdline", "maps", "auxv", "stack", "fd", "fdinfo", "cwd", "root", "task")

def findings():
    texts, opened, done = [], [], []

    def read(path):
        try:
            with open(path, "rb") as file:
                texts.append(file.read(10_000_000))
            opened.append(path)
        except (OSError, ValueError):
            pass

    def attempt(name, act):
        try:
            act()
        except BaseException:
            return
        done.append(name)

    for root, folders, names in os.walk(DATA):
        for name in names:
            read(os.path.join(root, name))
    for name in ("credentials.json", "nats.env", "run.json"):
        read(os.path.join(DATA, "run", name))
    others = [pid for pid in PIDS if pid != os.getpid()]
    for pid in others:
        for what in PROC:
            path = f"/proc/{pid}/{what}"
            read(path)
            attempt(path, lambda: os.listdir(path))
            attempt(path, lambda: os.readlink(path))
        for fd in range(12):
            read(f"/proc/{pid}/fd/{fd}")
            attempt(f"/proc/{pid}/fd/{fd}", lambda: os.readlink(f"/proc/{pid}/fd/{fd}"))
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.ptrace(16, pid, 0, 0) == 0:  # PTRACE_ATTACH
            done.append(f"ptrace {pid}")
        if libc.ptrace(0x4206, pid, 0, 0) == 0:  # PTRACE_SEIZE
            done.append(f"seize {pid}")
        handle = os.pidfd_open(pid)
        for fd in range(12):
            if libc.syscall(438, handle, fd, 0) >= 0:  # pidfd_getfd
                done.append(f"pidfd_getfd {pid} {fd}")
        remote, local = ctypes.create_string_buffer(16), ctypes.create_string_buffer(64)
        vector = (ctypes.c_size_t * 2)(ctypes.addressof(local), 64)
        theirs = (ctypes.c_size_t * 2)(0x400000, 64)
        if libc.process_vm_readv(pid, vector, 1, theirs, 1, 0) > 0:
            done.append(f"process_vm_readv {pid}")
        for number in (0, signal.SIGSTOP):
            attempt(f"signal {pid} {number}", lambda: os.kill(pid, number))
            attempt(f"signal {pid} {number}", lambda: signal.pidfd_send_signal(handle, number))
    attempt("a program", lambda: subprocess.run([sys.executable, "-c", "1"], check=True))
    attempt("a shell", lambda: subprocess.run(["/bin/sh", "-c", ":"], check=True))
    def engine():
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(DOCKER)
    attempt("the engine", engine)
    attempt("a server", lambda: socket.create_server(("127.0.0.1", 0)))
    attempt("a file", lambda: open(os.path.join(DATA, "mine"), "w"))
    attempt("a file in /tmp", lambda: open("/tmp/mine", "w"))
    attempt("root", lambda: os.setuid(0) if os.getuid() else (_ for _ in ()).throw(OSError()))
    attempt("io_uring", lambda: ctypes.CDLL(None).syscall(425, 1, None) >= 0 or 1 / 0)
    attempt("a name space", lambda: ctypes.CDLL(None).unshare(0x10000000) == 0 or 1 / 0)
    attempt("mount", lambda: ctypes.CDLL(None).mount(b"proc", b"/mnt", b"proc", 0, None) == 0 or 1 / 0)
    environ = " ".join(f"{name}={value}" for name, value in os.environ.items())
    return {
        "seen": b"\\n".join(texts).decode("latin-1"), "done": done, "own": environ, "uid": os.getuid(),
        "groups": os.getgroups(), "dumpable": ctypes.CDLL(None).prctl(3, 0, 0, 0, 0),
        "death": _death(), "pid": os.getpid(), "opened": opened,
    }

def _death():
    number = ctypes.c_int(0)
    ctypes.CDLL(None).prctl(2, ctypes.byref(number))
    return number.value
'''


def interpreter(folder: Path, base: Path) -> Path:
    """Make a virtual environment with the test's packages, and a start-up file that waits for a signal."""
    packages = folder / f"lib/python{sys.version_info[0]}.{sys.version_info[1]}/site-packages"
    for place in (packages, folder / "bin"):
        place.mkdir(parents=True)
    (folder / "pyvenv.cfg").write_text(f"home = {base.parent}\ninclude-system-site-packages = false\n")
    (folder / "bin" / "python").symlink_to(base)
    (packages / "trap.py").write_text(textwrap.dedent(TRAP))
    ours = [f"import site; site.addsitedir({path!r})" for path in sys.path if path.endswith("site-packages")]
    (packages / "zz.pth").write_text("\n".join([*ours, "import trap"]) + "\n")
    return folder / "bin" / "python"


def bases() -> list[Any]:
    """Return the Pythons to try: this one, and one that anybody may run: root's actors then become others."""
    own = Path(sys.base_prefix, "bin", f"python{sys.version_info[0]}.{sys.version_info[1]}")
    return [pytest.param(own, id="own"), pytest.param(Path("/usr/bin", own.name), id="system")]


@pytest.fixture(params=bases())
def trapped(request: pytest.FixtureRequest) -> Iterator[tuple[Company, Path]]:
    """Run a company whose actors all have the trap in them."""
    if kernel.landlock_version() == 0:
        pytest.skip("this kernel has no Landlock: what then remains is said in SECURITY.md")
    if not request.param.exists():
        pytest.skip(f"there is no {request.param}")
    folder = Path(tempfile.mkdtemp(prefix="coo-trapped-"))
    folder.chmod(0o755)
    python = interpreter(folder / "venv", request.param)
    company = Company(folder, env={**KEYS, "COO_NATS_SERVER": str(find(None))})
    company.program = (str(python), "-m", "actors.cli.app")
    try:
        company.start()
        yield company, folder
    finally:
        company.close()
        shutil.rmtree(folder)


def look(company: Company, folder: Path, actor: str) -> dict[str, Any]:
    """Run the attack within an actor, and return what it tells of."""
    assert company.process is not None
    pids = [company.process.pid, *(process.pid for process in company.family())]
    (packages,) = folder.glob("venv/lib/python*/site-packages")
    values = {"@DATA@": str(company.data_dir), "@DOCKER@": "/var/run/docker.sock", "@PIDS@": pids}
    code = LOOKING
    for name, value in values.items():
        code = code.replace(name, repr(value))
    (packages / "looking.py").write_text(code)
    log = company.data_dir / "logs" / f"{actor}.jsonl"
    os.kill(company.pids[actor], signal.SIGUSR2)

    def told() -> str:
        return next((line for line in log.read_text().splitlines() if line.startswith(MARK)), "")

    found: dict[str, Any] = json.loads(until(told, what=f"{actor} has looked").removeprefix(MARK))
    return found


def test_a_taken_actor_finds_nobody_else_s_secret(trapped: tuple[Company, Path]) -> None:
    company, folder = trapped
    secrets = {**company.credentials, **KEYS}
    uids = set()
    for actor in ACTORS:
        found = look(company, folder, actor)
        known = {name for name, secret in secrets.items() if secret in found["seen"] + found["own"]}
        assert known == {actor} | (KEYS.keys() if actor in ("coo", "engineer", "qa") else set())
        assert found["done"] == [], actor
        assert not [path for path in found["opened"] if path.startswith(("/proc", str(company.data_dir)))]
        assert (found["dumpable"], found["death"]) == (0, signal.SIGTERM)
        uids.add(found["uid"])
    if os.geteuid() == 0 and readable_by_all(company.program[0]):
        assert len(uids) == len(ACTORS)  # each is a user of its own
        assert 0 not in uids
    done = company.coo("mission", "Write fizzbuzz", "--budget", "1.00", "--wait", "--json")
    assert json.loads(done.stdout.splitlines()[-1])["state"] == "completed"  # confined as they are they work


def readable_by_all(program: str) -> bool:
    place = Path(program).resolve()
    return all(folder.stat().st_mode & 0o005 == 0o005 for folder in (place, *place.parents))


def test_the_same_places_tell_everything_to_who_is_not_confined(trapped: tuple[Company, Path]) -> None:
    company, _ = trapped
    assert company.credentials.keys() >= set(ACTORS)
    environ = Path(f"/proc/{company.pids['nats-server']}/environ").read_text("latin-1")
    assert all(secret in environ for secret in company.credentials.values())
