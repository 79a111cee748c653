"""What a program meets in either backend: its folder, its environment, the shell before it, its time."""

from collections.abc import Mapping

from sandbox.order import Order
from sandbox.policy import Policy

WORKSPACE = "/workspace"

# What holds a program ends by itself when its owner died: this long after the time-out, files included.
DEAD_MAN_GRACE_S = 120.0

# Goes before a program's argv. The shell becomes the program; if it cannot, it says so on stderr with 126 or
# 127, where engines answer with a text of their own on stdout and a code that changed between versions.
BY_SHELL = ("sh", "-c", 'exec "$@"', "sh")

# HOME is not the workspace, so that caches do not come back as deliverables; nor do pytest's cache and *.pyc.
PROGRAM_ENVIRONMENT: Mapping[str, str] = {
    "PATH": "/usr/local/bin:/usr/local/sbin:/usr/bin:/usr/sbin:/bin:/sbin",
    "HOME": "/tmp",
    "TMPDIR": "/tmp",
    "LANG": "C.UTF-8",
    "PYTHONDONTWRITEBYTECODE": "1",
    "PYTEST_ADDOPTS": "-p no:cacheprovider",
}


def effective_timeout_s(order: Order, policy: Policy) -> float:
    """Return the seconds the program may run: its own wish within the policy's maximum."""
    return min(order.timeout_s, policy.timeout_s)
