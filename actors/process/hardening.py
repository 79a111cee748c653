"""Confines an actor's process to what an actor needs, before it has read its first mail.

It has its password and its open files by then. From here on a taken process reads no file but its own
program's, starts no program, reaches no socket but the network's, and looks into no other process: not their
memory, environment or open files, whoever they belong to. What the machine cannot do is left out and said.
"""

from __future__ import annotations

import asyncio
import json
import os
import ssl
import sys
import sysconfig
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path

from actors.process import kernel

FIRST_UID = 65510
"""The first actor's user when root starts it, and group. No user of the machine has such a number by itself;
programs in sandboxes run as 65531 and 65532."""

OPEN_FILES = 256
"""Far above what an actor uses, and far below the connections that the server takes."""

_PACKAGES = ("actors", "bus", "config", "prompts", "sandbox")
_SYSTEM = (
    "/etc",
    "/lib",
    "/lib64",
    "/usr/lib",
    "/usr/lib64",
    "/usr/local/lib",
    "/usr/share",
    "/run/systemd/resolve",  # where /etc/resolv.conf may lead
    "/run/resolvconf",
    "/run/NetworkManager",
    "/dev/null",
    "/dev/urandom",
)
_NAMED = ("SSL_CERT_FILE", "SSL_CERT_DIR", "NATS_CREDS")


@dataclass(frozen=True)
class Confined:
    """Who a process is now, the Landlock of its kernel (0: none), and what it could not give up."""

    uid: int
    landlock: int
    missing: tuple[str, ...]


def confine(uid: int | None, more: Iterable[Path], environ: Mapping[str, str] = os.environ) -> Confined:
    """Give up all that an actor does not need; call it in the only thread. Nothing gives it back.

    `uid` is who to become if root runs this; `more` is what else may be read.
    """
    readable = [*_own_files(), *map(Path, _SYSTEM), *more]
    readable += [Path(environ[name]) for name in _NAMED if environ.get(name)]
    parent, number = os.getppid(), kernel.death_signal()
    if os.geteuid() == 0:
        _become(uid, readable)
    if number and not (kernel.ask_for_death_signal(number) and os.getppid() == parent):
        os._exit(1)  # the parent died before the kernel was asked again
    steps = {
        "other processes of its user can look into it": kernel.stop_dumps(),
        "it can open any number of connections": kernel.keep_few_files(OPEN_FILES),
        "programs it starts may gain rights": kernel.stop_new_privileges(),
        "no Landlock: it can read what its user can": kernel.keep_only(readable),
        "it can connect to sockets of this machine": kernel.keep_only_the_network(),
    }
    missing = tuple(problem for problem, done in steps.items() if not done)
    return Confined(os.geteuid(), kernel.landlock_version(), missing)


async def possible() -> Confined:
    """Find out what an actor that is started here can give up, by letting a process do so.

    Raises:
        OSError, ValueError: it cannot be found out.
    """
    argv = [sys.executable, "-P", "-m", __name__, str(FIRST_UID)]
    process = await asyncio.create_subprocess_exec(*argv, stdin=DEVNULL, stdout=PIPE, stderr=DEVNULL, env={})
    said, _ = await process.communicate()
    told = json.loads(said)
    return Confined(told["uid"], told["landlock"], tuple(told["missing"]))


def _own_files() -> list[Path]:
    """Return where Python's and our modules are, and the certificates that Python trusts."""
    names = ("stdlib", "platstdlib", "purelib", "platlib")
    folders = [Path(sysconfig.get_path(name)) for name in names]
    folders += [Path(entry) for entry in sys.path if Path(entry).name in ("site-packages", "dist-packages")]
    folders += [Path(prefix, lib) for prefix in (sys.prefix, sys.base_prefix) for lib in ("lib", "lib64")]
    trusted = ssl.get_default_verify_paths()
    folders += [Path(trusted.openssl_cafile).parent, Path(trusted.openssl_capath)]
    specs = [find_spec(name) for name in _PACKAGES]
    return folders + [
        Path(place) for spec in specs if spec for place in spec.submodule_search_locations or ()
    ]


def _become(uid: int | None, readable: Iterable[Path]) -> None:
    """Become another user for good, or, where Python is root's alone, give up root's capabilities."""
    if uid is not None and _can_run_as(uid, readable):
        _switch(uid)
    else:
        kernel.drop_capabilities()


def _switch(uid: int) -> None:
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)


def _can_run_as(uid: int, readable: Iterable[Path]) -> bool:
    """Try in a child whether a user can read what this process may still have to import."""
    files = [getattr(module, "__file__", None) for module in list(sys.modules.values())]
    child = os.fork()
    if child == 0:
        try:
            _switch(uid)
            for folder in readable:
                if folder.is_dir():
                    os.scandir(folder).close()
            for file in filter(None, files):
                os.close(os.open(file, os.O_RDONLY))
        except BaseException:
            os._exit(1)
        os._exit(0)
    return os.waitpid(child, 0)[1] == 0


if __name__ == "__main__":
    sys.stdout.write(json.dumps(asdict(confine(int(sys.argv[1]), []))))
