"""A small root file system made of this machine's own Python, shell and tools, for both backends.

bubblewrap binds it read-only as `/`; where no registry can be reached, the image is built on it. Libraries
keep the paths they have here, because the loader looks for them there.
"""

import importlib.metadata
import io
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from sandbox.archive import PROGRAM_UID

Progress = Callable[[str], None]
Tree = dict[str, Path | bytes]  # path inside, without the leading slash -> file here, or its content

# What a mission's command may name besides Python; one that is missing here is left out.
TOOLS = (
    *(
        "sh",
        "env",
        "sleep",
        "true",
        "false",
        "echo",
        "printf",
        "test",
        "expr",
        "date",
        "timeout",
        "nproc",
        "id",
    ),
    *(
        "ls",
        "cat",
        "cp",
        "mv",
        "rm",
        "ln",
        "mkdir",
        "rmdir",
        "touch",
        "chmod",
        "chown",
        "pwd",
        "stat",
        "du",
        "df",
    ),
    *(
        "head",
        "tail",
        "wc",
        "sort",
        "uniq",
        "cut",
        "tr",
        "tee",
        "seq",
        "yes",
        "basename",
        "dirname",
        "realpath",
        "mktemp",
    ),
    *("sha256sum", "diff", "cmp", "find", "xargs", "grep", "sed", "uname", "whoami", "kill", "readlink"),
)
PACKAGES = ("pytest", "numpy")  # copied from the environment this runs in, with what they need

FOLDERS = (
    "bin",
    "dev",
    "etc",
    "lib64",
    "proc",
    "root",
    "sys",
    "tmp",
    "usr/bin",
    "usr/local/bin",
    "var",
    "workspace",
)
TEXTS = {
    "etc/passwd": f"root:x:0:0:root:/root:/bin/sh\nprogram:x:{PROGRAM_UID}:{PROGRAM_UID}::/tmp:/bin/sh\n",
    "etc/group": f"root:x:0:\nprogram:x:{PROGRAM_UID}:\n",
    "etc/hosts": "127.0.0.1 localhost\n::1 localhost\n",
    "etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files myhostname\n",
}
# Resolves localhost without /etc/hosts, which the engine leaves empty when a container has no network.
MYHOSTNAME = "libnss_myhostname.so.2"

# Debian's own Python looks for packages elsewhere than everybody else's.
_FOLDER = "dist-packages" if "posix_local" in sysconfig.get_scheme_names() else "site-packages"
_SITE_PACKAGES = f"usr/local/lib/python{sys.version_info.major}.{sys.version_info.minor}/{_FOLDER}"
_LEFT_OUT = {"ensurepip", "idlelib", "lib2to3", "pip", "site-packages", "test", "tkinter", "turtledemo"}
_LIBRARY_LINE = re.compile(r"^\s+(?:\S+ => )?(/\S+) \(0x", re.MULTILINE)
_REQUIREMENT_NAME = re.compile(r"[A-Za-z0-9._-]+")


def key() -> str:
    """Return what a tree depends on: another key means another content."""
    parts = [f"python-{sys.version_info.major}.{sys.version_info.minor}.{sys.version_info.micro}"]
    parts += [f"{name}-{found.version}" for name in PACKAGES if (found := _distribution(name)) is not None]
    return "_".join([*parts, sysconfig.get_platform()])


def is_here(name: str) -> bool:
    """Tell whether a package is installed in the environment this runs in."""
    return _distribution(name) is not None


def collect_tree(progress: Progress, packages: Path | None = None) -> Tree:
    """Return every file of the root file system; `progress` is told what could not be had.

    packages: a folder of more packages, as pip's `--target` makes it.
    """
    files = _python(progress) | _tools(progress)
    if packages is not None:
        files |= _folder(packages, _SITE_PACKAGES)
    files |= _libraries((path for inside, path in files.items() if _is_binary(inside)), packages)
    return {**files, **{inside: text.encode() for inside, text in TEXTS.items()}}


def write_tree(tree: Tree, root: Path) -> None:
    """Copy a tree into a new folder that everybody can read."""
    for folder in (root, *(root / name for name in FOLDERS)):
        make_readable_folder(folder)
    for inside, source in tree.items():
        target = root / inside
        make_readable_folder(target.parent)
        if isinstance(source, bytes):
            target.write_bytes(source)
        else:
            shutil.copyfile(source, target)
            shutil.copystat(source, target)  # compiled modules are valid for their source's time only
        target.chmod(_mode(inside))


def make_readable_folder(folder: Path) -> None:
    """Make a folder and its parents; the process's umask does not count."""
    if not folder.is_dir():
        make_readable_folder(folder.parent)
        folder.mkdir(exist_ok=True)
        folder.chmod(0o755)


def write_tar(tree: Tree, out: BinaryIO) -> None:
    """Write a tree as a tar, all of it root's and without a setuid bit."""
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for folder in FOLDERS:
            entry = tarfile.TarInfo(folder)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o1777 if folder in {"tmp", "workspace"} else 0o755
            tar.addfile(entry)
        for inside, source in sorted(tree.items()):
            entry = tarfile.TarInfo(inside)
            entry.mode = _mode(inside)
            if isinstance(source, bytes):
                entry.size = len(source)
                tar.addfile(entry, io.BytesIO(source))
                continue
            entry.size, entry.mtime = source.stat().st_size, int(source.stat().st_mtime)
            with source.open("rb") as content:
                tar.addfile(entry, content)


def _is_binary(inside: str) -> bool:
    return "bin/" in inside or inside.endswith(".so") or ".so." in inside


def _python(progress: Progress) -> dict[str, Path]:
    minor = f"python{sys.version_info.major}.{sys.version_info.minor}"
    library = str(Path(_SITE_PACKAGES).parent)
    python = Path(sys.base_prefix, "bin", minor)
    files = {f"usr/local/bin/{name}": python for name in (minor, "python3", "python")}
    files |= _folder(Path(sysconfig.get_path("stdlib", vars=_base_paths())), library)
    files |= _folder(Path(sysconfig.get_config_var("DESTSHARED")), f"{library}/lib-dynload")
    for name in PACKAGES:
        files |= _package(name, _SITE_PACKAGES, progress)
    return files


def _tools(progress: Progress) -> dict[str, Path]:
    files: dict[str, Path] = {}
    for tool in TOOLS:
        found = shutil.which(tool, path="/usr/bin:/bin")
        if found is None:
            progress(f"no {tool} here: left out")
        else:
            files[f"usr/bin/{tool}"] = Path(found).resolve()
    if "usr/bin/sh" in files:
        files["bin/sh"] = files["usr/bin/sh"]
    return files


def _mode(inside: str) -> int:
    return 0o755 if _is_binary(inside) else 0o644


def _base_paths() -> dict[str, str]:
    return {"installed_base": sys.base_prefix, "base": sys.base_prefix}


def _folder(source: Path, inside: str) -> dict[str, Path]:
    """Return the regular files of a folder without what programs in the sandbox have no use for."""
    return {
        f"{inside}/{path.relative_to(source).as_posix()}": path
        for path in sorted(source.rglob("*"))
        if path.is_file() and not _LEFT_OUT & set(path.relative_to(source).parts) and path.suffix != ".a"
    }


def _distribution(name: str) -> importlib.metadata.Distribution | None:
    try:
        return importlib.metadata.distribution(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _package(name: str, site_packages: str, progress: Progress) -> dict[str, Path]:
    """Return the files of a package and of all it needs, from this environment."""
    if _distribution(name) is None:
        progress(f"{name} is not installed here (`pip install {name}`): left out")
        return {}
    files: dict[str, Path] = {}
    for distribution in _with_requirements(name):
        for file in distribution.files or ():
            path = Path(str(file.locate()))
            if ".." not in file.parts and path.is_file():
                files[f"{site_packages}/{file.as_posix()}"] = path
    return files


def _with_requirements(name: str) -> Iterator[importlib.metadata.Distribution]:
    waiting, seen = [name], {name}
    while waiting:
        distribution = _distribution(waiting.pop())
        if distribution is None:
            continue  # needed on other machines only
        yield distribution
        for requirement in distribution.requires or ():
            match = _REQUIREMENT_NAME.match(requirement)
            if match and "extra ==" not in requirement and match[0] not in seen:
                seen.add(match[0])
                waiting.append(match[0])


def _libraries(binaries: Iterable[Path], packages: Path | None) -> dict[str, Path]:
    """Return the libraries that binaries need, at the paths they have here; packages bring their own."""
    unique = sorted({str(path) for path in binaries})
    # Exit code 1 means that one of them is a script or static; the others are listed all the same.
    listing = subprocess.run(["ldd", *unique], capture_output=True, text=True, check=False).stdout
    lines = {line for line in _LIBRARY_LINE.findall(listing) if not packages or str(packages) not in line}
    found = {line.lstrip("/"): Path(line).resolve() for line in lines}
    beside = {str(Path(inside).parent) for inside in found if Path(inside).name.startswith("libc.so")}
    for folder in beside:
        if Path("/", folder, MYHOSTNAME).is_file():
            found[f"{folder}/{MYHOSTNAME}"] = Path("/", folder, MYHOSTNAME).resolve()
    return found
