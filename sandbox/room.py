"""Whether an order's files fit into a workspace: told before anything is started."""

from sandbox.order import Order
from sandbox.policy import MIB, Policy

_PAGE_BYTES = 4096  # what a file system in memory gives out at once


def misfit(order: Order, policy: Policy) -> tuple[str, str, str] | None:
    """Return reason, fix and the policy's field when the files do not fit, else None."""
    needed = sum(-(-len(content) // _PAGE_BYTES) * _PAGE_BYTES for content in order.files.values())
    if needed > policy.workspace_bytes:
        reason = f"the files need {needed // MIB} MiB, the workspace holds {policy.workspace_bytes // MIB}"
        return reason, "send less, or raise sandbox.workspace_bytes and memory_bytes", "workspace_bytes"
    folders = {path[:place] for path in order.files for place, letter in enumerate(path) if letter == "/"}
    entries = len(order.files) + len(folders) + 1
    if entries > policy.workspace_inodes:
        reason = f"{entries} files and folders are sent, the workspace holds {policy.workspace_inodes}"
        return reason, "send fewer, or raise sandbox.workspace_inodes", "workspace_inodes"
    return None
