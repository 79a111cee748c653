"""What a bubblewrap sandbox looks like: from a policy to bwrap's command line and limits. Pure values."""

from importlib import resources
from pathlib import Path

from sandbox.archive import PROGRAM_UID
from sandbox.policy import Policy
from sandbox.program import PROGRAM_ENVIRONMENT, WORKSPACE

# How far one process may outrun the sampling of the whole run's memory, where no control group bounds it.
_DATA_FACTOR = 2


def bwrap_command(bwrap: Path, root: Path, policy: Policy, seccomp_fd: int) -> list[str]:
    """Return the command that runs the runner as process 1 of a new set of name spaces."""
    environment = [word for item in PROGRAM_ENVIRONMENT.items() for word in ("--setenv", *item)]
    return [
        str(bwrap),
        *("--unshare-all", "--die-with-parent", "--as-pid-1"),
        *("--uid", str(PROGRAM_UID), "--gid", str(PROGRAM_UID), "--hostname", "sandbox"),
        *("--ro-bind", str(root), "/", "--proc", "/proc", "--remount-ro", "/proc", "--dev", "/dev"),
        *_tmpfs("/dev/shm", policy.shm_bytes),
        *("--remount-ro", "/dev"),
        *_tmpfs("/tmp", policy.tmp_bytes),
        *_tmpfs(WORKSPACE, policy.workspace_bytes),
        *environment,
        *("--chdir", WORKSPACE, "--seccomp", str(seccomp_fd)),
        *("--", "/usr/local/bin/python3", "-I", "-S", "-c", _runner()),
    ]


def _tmpfs(path: str, size_bytes: int) -> tuple[str, ...]:
    return ("--perms", "1777", "--size", str(size_bytes), "--tmpfs", path)


def _runner() -> str:
    return resources.files("sandbox.bubblewrap").joinpath("runner.py").read_text("utf-8")


def program_limits(policy: Policy, *, in_group: bool = False) -> dict[str, int]:
    """Return the resource limits of each process, by the kernel's names.

    in_group: a control group bounds the run's memory and processes, for all of them together.
    NPROC counts within the new user name space since Linux 5.14; before, it counts the whole user.
    """
    each = {"NOFILE": policy.open_files, "FSIZE": policy.workspace_bytes, "CORE": 0}
    if in_group:
        return each
    return each | {"NPROC": policy.pids, "DATA": _DATA_FACTOR * policy.memory_bytes}
