"""Run programs nobody has read, on files in memory, behind walls.

A standalone package: it is handed a `Policy` and reads no configuration. `choose_backend` finds what can
isolate a program on this machine; nothing ever runs without that.
"""

from sandbox.choose import Backend, Choice, choose_backend
from sandbox.errors import (
    EngineError,
    FolderRefused,
    OrderRefused,
    PathRefused,
    RunUnderWay,
    SandboxError,
    Unavailable,
)
from sandbox.order import File, Order, Outcome, Skipped, Status, Stream
from sandbox.policy import Policy
from sandbox.selftest import self_test

__all__ = [
    "Backend",
    "Choice",
    "EngineError",
    "File",
    "FolderRefused",
    "Order",
    "OrderRefused",
    "Outcome",
    "PathRefused",
    "Policy",
    "RunUnderWay",
    "SandboxError",
    "Skipped",
    "Status",
    "Stream",
    "Unavailable",
    "choose_backend",
    "self_test",
]
