"""What is known of the parts a sandbox stands on: old ones that let programs out, and what stays open."""

import re
from collections.abc import Mapping

# runc below these lets a container out through its mounts (CVE-2025-31133, -52565, -52881).
_RUNC_FIXED = {(1, 2): (1, 2, 8), (1, 3): (1, 3, 3)}
_RUNC_NEWEST_FIXED = (1, 3, 3)

# What bubblewrap leaves open here; docs/sandbox.md has more on each.
BUBBLEWRAP_OPEN = ("open: processors and the number of files in the workspace are not limited",)
BUBBLEWRAP_OPEN_WITHOUT_GROUP = (
    "open: memory is sampled 20 times a second, not bounded by the kernel",
    *BUBBLEWRAP_OPEN,
)


def engine_warnings(versions: Mapping[str, str]) -> tuple[str, ...]:
    """Return a line for each part that is too old, as far as its number tells."""
    runc = _numbers(versions.get("runc", ""))
    if runc is None or runc >= _RUNC_FIXED.get(runc[:2], _RUNC_NEWEST_FIXED):
        return ()
    return (
        f"warning: runc {versions['runc']} is older than 1.2.8 or 1.3.3, which close known ways out; "
        "update it unless your distribution has repaired it",
    )


def _numbers(version: str) -> tuple[int, int, int] | None:
    found = re.match(r"v?(\d+)\.(\d+)\.(\d+)", version)
    return (int(found[1]), int(found[2]), int(found[3])) if found else None
