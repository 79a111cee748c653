"""Find out whether an engine listens at its socket, and why not: the SDK hides the cause."""

import socket

from sandbox.errors import EngineError

START_FIX = "start Docker (`sudo systemctl start docker`) or set the sandbox backend to bubblewrap"
_KNOCK_TIMEOUT_S = 5.0
_INSTALL_FIX = (
    "install Docker (Debian: `sudo apt install docker.io`) or set the sandbox backend to bubblewrap"
)
_PERMISSION_FIX = "let your user reach it: `sudo usermod -aG docker $USER`, then log in again"


def knock(host: str) -> None:
    """Find out what is wrong before the SDK does: it hides the cause, and leaks the socket.

    Raises:
        EngineError: nothing listens there, or this user may not use it.
    """
    if not host.startswith("unix://"):
        return
    with socket.socket(socket.AF_UNIX) as door:
        door.settimeout(_KNOCK_TIMEOUT_S)
        try:
            door.connect(host.removeprefix("unix://"))
        except FileNotFoundError as error:
            raise EngineError("docker_not_installed", f"nothing is at {host}", _INSTALL_FIX) from error
        except PermissionError as error:
            raise EngineError(
                "docker_permission_error", f"no permission to use {host}", _PERMISSION_FIX
            ) from error
        except OSError as error:
            raise EngineError(
                "docker_api_error", f"no engine answers at {host}: {error}", START_FIX
            ) from error
