"""What a program cannot do, on every backend."""

from collections.abc import Awaitable, Callable

import pytest

from sandbox import Backend, Order, Outcome, self_test

Until = Callable[[Callable[[], object]], Awaitable[None]]
HostPids = Callable[[str], list[int]]


async def run(backend: Backend, code: str, **order: object) -> Outcome:
    return await backend.run(
        Order(**({"id": "test-walls", "argv": ("python", "-c", code), "timeout_s": 20.0} | order))
    )


async def test_the_self_test_passes(backend: Backend) -> None:
    await self_test(backend)


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("import socket; socket.create_connection(('192.0.2.1', 80), 2)", "Network is unreachable"),
        ("import socket; socket.getaddrinfo('example.org', 80)", "Error"),
        ("import socket; socket.socket(40, socket.SOCK_STREAM)", "Operation not permitted"),
        ("open('/new', 'w')", "Read-only file system"),
        ("open('/usr/local/lib/new', 'w')", "Read-only file system"),
        ("open('/etc/shadow').read()", "Error"),
        ("open('/proc/sys/kernel/core_pattern', 'w')", "Error"),
        ("open('/proc/1/mem', 'rb')", "Permission denied"),
        ("import os; os.listdir('/proc/1/fd')", "Permission denied"),
        ("import os; os.setuid(0)", "Error"),
        ("import os; os.mknod('disk', 0o60600, 8 << 8)", "Operation not permitted"),
        ("open('big', 'wb').write(bytes(17 << 20))", "Error"),
        ("open('/tmp/big', 'wb').write(bytes(5 << 20))", "No space left on device"),
        ("open('/dev/shm/big', 'wb').write(bytes(20 << 20))", "Error"),
        ("import resource as r; r.setrlimit(r.RLIMIT_NOFILE, (9999, 9999))", "Error"),
    ],
)
async def test_it_is_refused(backend: Backend, code: str, error: str) -> None:
    outcome = await run(backend, code)
    assert outcome.status == "failed"
    assert error in outcome.stderr.head + outcome.stderr.tail


@pytest.mark.parametrize(
    ("call", "arguments"),
    [
        ("io_uring_setup", "425, 8, 0"),
        ("unshare", "272, 0x10000000"),
        ("keyctl", "250, 0, -3, 0"),
        ("bpf", "321, 0, 0, 0"),
    ],
)
async def test_the_system_call_is_refused(backend: Backend, call: str, arguments: str) -> None:
    code = (
        f"import ctypes as c; k = c.CDLL(None, use_errno=True); print(k.syscall({arguments}), c.get_errno())"
    )
    outcome = await run(backend, code)
    assert outcome.stdout.head == "-1 1\n"


async def test_the_program_is_nobody_with_nothing(backend: Backend) -> None:
    code = (
        "import os\n"
        "print(os.getuid(), os.getgid(), os.getgroups() in ([], [65532]))\n"
        "status = dict(line.split(':', 1) for line in open('/proc/self/status'))\n"
        "print(int(status['CapEff'], 16), int(status['CapBnd'], 16) if os.getpid() < 0 else 0)\n"
        "print(status['NoNewPrivs'].strip(), status['Seccomp'].strip())"
    )
    outcome = await run(backend, code)
    assert (outcome.stdout.head, outcome.stderr.head) == ("65532 65532 True\n0 0\n1 2\n", "")


async def test_its_environment_is_small_and_ours(backend: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_API_KEY", "secret")
    outcome = await run(
        backend, "import os; print(*sorted(os.environ)); print(open('/proc/self/environ').read())"
    )
    assert "secret" not in outcome.stdout.head
    names = set(outcome.stdout.head.splitlines()[0].split()) - {
        "HOSTNAME",
        "PWD",
        "OLDPWD",
        "SHLVL",
        "_",
        "LC_CTYPE",
    }
    assert names == {"HOME", "LANG", "PATH", "PYTEST_ADDOPTS", "PYTHONDONTWRITEBYTECODE", "TMPDIR"}


async def test_a_fork_bomb_stays_inside(backend: Backend) -> None:
    code = (
        "import os, time\n"
        "children = 0\n"
        "try:\n"
        "    while children < 500:\n"
        "        if os.fork() == 0: time.sleep(30); os._exit(0)\n"
        "        children += 1\n"
        "except OSError: print('refused', children < 40)"
    )
    outcome = await run(backend, code)
    assert (outcome.status, outcome.stdout.head) == ("ok", "refused True\n")


async def test_the_keeper_cannot_be_killed(backend: Backend) -> None:
    code = "import os\ntry: os.kill(1, 9)\nexcept PermissionError: pass\nprint('still here')"
    outcome = await run(backend, code)
    assert (outcome.status, outcome.stdout.head) == ("ok", "still here\n")


async def test_a_child_that_daemonizes_does_not_survive_the_run(
    backend: Backend, until: Until, host_pids: HostPids
) -> None:
    code = "import os\nif os.fork() == 0:\n os.setsid()\n os.execvp('sleep', ['sleep', '4711.25'])"
    outcome = await run(backend, code)
    assert outcome.status == "ok"
    await until(lambda: not host_pids("4711.25"))
