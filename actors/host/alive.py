"""Whether a process of some pid is still the one that was meant."""

from __future__ import annotations

import subprocess
from pathlib import Path


def process_start(pid: int) -> str | None:
    """Return a text that differs between two processes of the same pid, None when no such process runs.

    Linux: boot id and start in clock ticks; a zombie counts as dead. Elsewhere: what `ps` says, in seconds.
    """
    if not Path("/proc/self/stat").exists():
        answer = subprocess.run(
            ["ps", "-o", "lstart=", "-p", str(pid)], capture_output=True, text=True, check=False
        )
        return answer.stdout.strip() or None
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    state, *fields = stat.rpartition(")")[2].split()  # the name before it may hold spaces and brackets
    if state in "ZX":
        return None
    return f"{Path('/proc/sys/kernel/random/boot_id').read_text().strip()}/{fields[18]}"
