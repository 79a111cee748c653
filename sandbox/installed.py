"""What isolates programs here, by version, without trying whether it works."""

import importlib.metadata
import shutil
import subprocess

from sandbox.bubblewrap.runtime import WHEEL
from sandbox.errors import EngineError

_ANSWER_S = 2.0


def engine_version(host: str) -> str:
    """Return the Docker engine's version, or why there is none; takes two seconds at most."""
    from sandbox.docker.engine import Engine  # the SDK takes long to import

    try:
        engine = Engine(host, 1, _ANSWER_S)
        try:
            return f"{engine.versions()['Engine']} at {host}"
        finally:
            engine.close()
    except EngineError as error:
        return f"none ({error.reason})"


def bubblewrap_version() -> str:
    """Return bubblewrap's version and where it is from, or that there is none."""
    try:
        return f"{importlib.metadata.version(WHEEL)} (PyPI wheel {WHEEL})"
    except importlib.metadata.PackageNotFoundError:
        pass
    system = shutil.which("bwrap")
    if system is None:
        return "none"
    said = subprocess.run(
        [system, "--version"], capture_output=True, text=True, timeout=_ANSWER_S, check=False
    )
    return f"{said.stdout.removeprefix('bubblewrap').strip()} ({system})"
