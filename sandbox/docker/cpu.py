"""Read a container's processor time from the kernel: the engine's own figures come once a second only."""

from pathlib import Path

_ROOT = Path("/sys/fs/cgroup")
# cgroup v1 and v2, each with the engine's two drivers (cgroupfs, systemd).
_NANOSECONDS = (
    "cpuacct/docker/{id}/cpuacct.usage",
    "cpu,cpuacct/docker/{id}/cpuacct.usage",
    "cpu,cpuacct/system.slice/docker-{id}.scope/cpuacct.usage",
)
_STATISTICS = ("docker/{id}/cpu.stat", "system.slice/docker-{id}.scope/cpu.stat")


def cpu_ms(container: str) -> int | None:
    """Return the processor time a container used, its own start of some 25 ms included.

    None when its control group is not in sight: the engine is on another machine or rootless.
    """
    for pattern in _NANOSECONDS:
        if (text := _read(pattern.format(id=container))) is not None:
            return int(text) // 1_000_000
    for pattern in _STATISTICS:
        if (text := _read(pattern.format(id=container))) is not None:
            statistics = dict(line.split(maxsplit=1) for line in text.splitlines())
            return int(statistics["usage_usec"]) // 1000
    return None


def _read(path: str) -> str | None:
    try:
        return (_ROOT / path).read_text("ascii")
    except OSError:
        return None
