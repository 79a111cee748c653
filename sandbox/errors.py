"""What can go wrong, split by whose fault it is."""

from typing import Literal

EngineTrouble = Literal[
    "docker_not_installed", "docker_permission_error", "docker_api_error", "image_missing", "run_under_way"
]


class SandboxError(Exception):
    """The root of this package's errors."""


class OrderRefused(SandboxError, ValueError):
    """The order itself cannot be run; whoever sent it must change it."""


class PathRefused(OrderRefused):
    """A file's name is not a plain relative POSIX path."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"file {path!r}: {reason}")
        self.path = path
        self.reason = reason


class EngineError(SandboxError):
    """The engine refused or did not answer: the world's fault, so a later attempt may pass."""

    def __init__(self, kind: EngineTrouble, reason: str, fix: str) -> None:
        super().__init__(reason)
        self.kind: EngineTrouble = kind
        self.reason = reason
        self.fix = fix


class PackageError(SandboxError):
    """A package for the image cannot be had under that name; `fix` is what a person can do about it."""

    def __init__(self, reason: str, fix: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.fix = fix


class FolderRefused(SandboxError):
    """A folder of the host cannot be an order's files or take an outcome's."""

    def __init__(self, reason: str, fix: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.fix = fix


class RunUnderWay(SandboxError):
    """The same order is being run: wait for its answer instead of running it twice."""

    def __init__(self, order_id: str) -> None:
        super().__init__(f"order {order_id} is being run already")
        self.order_id = order_id


class Unavailable(SandboxError):
    """No backend can isolate a program on this machine; `fix` is what a person can do about it."""

    def __init__(self, reason: str, fix: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.fix = fix
