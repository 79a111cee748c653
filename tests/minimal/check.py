"""`make minimal`: README's two commands on a minimal Debian made for it, as root and as an ordinary user.

Needs root and debootstrap. The commands are copied from README by this program. They run in name spaces of
their own, with the new system as their root; where user name spaces do not nest there (bubblewrap needs one),
or this is not root, the same steps run on this machine in fresh environments, and that is said.

    python tests/minimal/check.py [--root DIR] [--only root|user] [--first] [--bind DIR]…
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PROJECT = Path(__file__).parents[2]
PACKAGES = "python3,python3-venv,python3-pip,ca-certificates"
USER = "someone"
UID = 4711

_ENTER = r"""
set -eu
cd "$1"
mount --bind . .
cd "$1"
mount -t proc proc proc
mount -t tmpfs -o mode=755 tmpfs dev
for one in null:1:3 zero:1:5 full:1:7 random:1:8 urandom:1:9 tty:5:0; do
    mknod -m 666 "dev/${one%%:*}" c $(echo "${one#*:}" | tr : " ")
done
ln -s /proc/self/fd dev/fd
mkdir dev/shm dev/pts
mount -t devpts -o newinstance,ptmxmode=0666 devpts dev/pts
ln -s pts/ptmx dev/ptmx
mount -t tmpfs -o mode=1777 tmpfs dev/shm
mount -t tmpfs -o mode=1777 tmpfs tmp
mount --bind /etc/resolv.conf etc/resolv.conf
for one in $BINDS; do mkdir -p ".$one"; mount --bind "$one" ".$one"; done
mkdir -p .old
pivot_root . .old
cd /
umount -l /.old
ip link set lo up 2>/dev/null || true
exec setpriv --reuid="$AS_UID" --regid="$AS_UID" --clear-groups -- sh -c "$COMMAND"
"""


def commands() -> list[str]:
    """Return README's first two commands, as they stand there."""
    text = (PROJECT / "README.md").read_text("utf-8")
    blocks = re.findall(r"^```console\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    return [line[2:] for block in blocks for line in block.splitlines() if line.startswith("$ ")][:2]


def main() -> int:
    """Run the check; the exit code says whether everything worked."""
    options = _options()
    if os.geteuid() == 0 and shutil.which("debootstrap") is None:
        print("minimal: debootstrap is not here: apt-get install debootstrap", file=sys.stderr)
        return 2
    wanted = commands()[: 1 if options.first else 2]
    users = [options.only] if options.only else ["root", "user"]
    root = _system(options.root) if os.geteuid() == 0 else None
    if root is not None and not _nests(root, options.bind):
        print(
            "minimal: user name spaces do not nest in the minimal system: on this machine instead", flush=True
        )
        root = None
    elif root is None:
        print("minimal: not root, so no minimal system: on this machine instead", flush=True)
    return max(_as(user, root, wanted, options.bind) for user in users)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="README's two commands on a minimal system.")
    parser.add_argument("--root", type=Path, help="where the system is made, or was (a temporary folder)")
    parser.add_argument("--only", choices=["root", "user"], help="as one of the two users only")
    parser.add_argument("--first", action="store_true", help="the first command only")
    parser.add_argument(
        "--bind", action="append", default=[], help="a folder of this machine to be seen there"
    )
    return parser.parse_args()


def _system(folder: Path | None) -> Path:
    folder = folder.absolute() if folder else _folder("minimal-")
    if not (folder / "usr/bin/python3").exists():
        print(f"minimal: making a Debian with {PACKAGES} in {folder}", flush=True)
        argv = ["debootstrap", "--variant=minbase", f"--include={PACKAGES}", "bookworm", str(folder)]
        subprocess.run(argv, check=True, stdout=subprocess.DEVNULL)
    if USER not in (folder / "etc/passwd").read_text():
        with (folder / "etc/passwd").open("a") as file:
            file.write(f"{USER}:x:{UID}:{UID}::/home/{USER}:/bin/sh\n")
        with (folder / "etc/group").open("a") as file:
            file.write(f"{USER}:x:{UID}:\n")
    return folder


def _folder(prefix: str) -> Path:
    """Make a temporary folder that an ordinary user can look into."""
    folder = Path(tempfile.mkdtemp(prefix=prefix))
    folder.chmod(0o755)
    return folder


def _as(user: str, root: Path | None, wanted: list[str], binds: list[str]) -> int:
    """Run the commands as one user in a fresh copy of the project; return 0 if all of them worked."""
    base = root or _folder("minimal-host-")
    home = Path("/root" if user == "root" else f"/home/{USER}")
    copy = base / str(home / "coo").lstrip("/")
    _copy(copy, 0 if user == "root" else UID)
    for command in wanted:
        print(f"minimal: as {user}: {command}", flush=True)
        began_s = time.monotonic()
        place = home / "coo" if root else copy
        line = f"export HOME={place.parent} USER={user}; cd {place} && {command}"
        code = _run(line, 0 if user == "root" else UID, root, binds)
        print(f"minimal: as {user}: ended with {code} after {time.monotonic() - began_s:.0f} s", flush=True)
        if code:
            return 1
    return 0


def _copy(target: Path, uid: int) -> None:
    """Copy what git has of the project, as it stands in the working tree."""
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    listed = subprocess.run(
        ["git", "ls-files", "-z", "-c", "-o", "--exclude-standard"],
        cwd=PROJECT,
        check=True,
        capture_output=True,
    )
    for name in filter(None, listed.stdout.decode().split("\0")):
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        if (PROJECT / name).exists():
            shutil.copy2(PROJECT / name, target / name)
    if os.geteuid() == 0:
        for path in (target.parent, target, *target.rglob("*")):
            os.chown(path, uid, uid)


def _nests(root: Path, binds: list[str]) -> bool:
    return _run("unshare --user --mount true", UID, root, binds) == 0


def _run(line: str, uid: int, root: Path | None, binds: list[str]) -> int:
    """Run a shell line as a user, in the minimal system or here, without this machine's settings."""
    pip = {name: value for name, value in os.environ.items() if name.startswith("PIP_")}
    env = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8", **pip}
    if root is None:
        path = {**env, "PATH": os.environ["PATH"]}
        dropped = {"user": uid, "group": uid, "extra_groups": []} if os.geteuid() == 0 and uid else {}
        return subprocess.run(["sh", "-c", line], env=path, check=False, **dropped).returncode
    for name in ("/etc/pip.conf", "/etc/ssl/certs/ca-certificates.crt"):  # how this machine reaches packages
        if Path(name).exists():
            shutil.copyfile(name, root / name.lstrip("/"))
    told = {"COMMAND": line, "AS_UID": str(uid), "BINDS": " ".join(binds)}
    argv = [
        "unshare",
        "--mount",
        "--pid",
        "--ipc",
        "--fork",
        "--kill-child",
        "sh",
        "-c",
        _ENTER,
        "sh",
        str(root),
    ]
    return subprocess.run(argv, env={**env, **told}, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
