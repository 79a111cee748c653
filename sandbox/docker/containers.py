"""What a hardened container looks like: from a policy to the engine's options. Pure values."""

import math
import time
from collections.abc import Mapping
from typing import Any

from sandbox.archive import PROGRAM_UID
from sandbox.owner import Owner
from sandbox.policy import Policy
from sandbox.program import DEAD_MAN_GRACE_S, PROGRAM_ENVIRONMENT, WORKSPACE
from sandbox.seccomp import docker_profile

PROGRAM_USER = f"{PROGRAM_UID}:{PROGRAM_UID}"
# The process that keeps the container alive is another user's: the program can neither signal nor trace it.
HOLDER_USER = "65533:65533"

# How long a holder may wait for an order. One more such time is on its dead-man timer.
POOL_LIFE_S = 600.0

RUN_PREFIX, POOL_PREFIX = "coo-run-", "coo-pool-"

LABEL = "coo.sandbox"
_LABEL_CREATED = f"{LABEL}.created"
_LABEL_HOST, _LABEL_BOOT, _LABEL_PID, _LABEL_START, _LABEL_SERIAL = (
    f"{LABEL}.owner.{part}" for part in ("host", "boot", "pid", "start", "serial")
)


def container_name(order_id: str) -> str:
    """Return the container's name: the engine's refusal of a second one is the order's lock."""
    return RUN_PREFIX + order_id


def labels(owner: Owner) -> dict[str, str]:
    """Return what a sweep needs to know about a container or volume."""
    return {
        LABEL: "1",
        _LABEL_CREATED: f"{time.time():.3f}",
        _LABEL_HOST: owner.host,
        _LABEL_BOOT: owner.boot,
        _LABEL_PID: str(owner.pid),
        _LABEL_START: owner.start,
        _LABEL_SERIAL: owner.serial,
    }


def owner_from(labels: Mapping[str, str]) -> Owner:
    """Return the owner a container's labels name; with labels missing, one of an unknown host."""
    pid = labels.get(_LABEL_PID, "")
    return Owner(
        host=labels.get(_LABEL_HOST, ""),
        boot=labels.get(_LABEL_BOOT, ""),
        pid=int(pid) if pid.isdecimal() else 0,
        start=labels.get(_LABEL_START, ""),
        serial=labels.get(_LABEL_SERIAL, ""),
    )


def created_s(labels: Mapping[str, str]) -> float:
    """Return when a container was made, in seconds since the epoch; 0 when its labels do not say."""
    try:
        return float(labels.get(_LABEL_CREATED, "0"))
    except ValueError:
        return 0.0


def dead_man_s(timeout_s: float, waiting_s: float = 0.0) -> int:
    """Return after how many seconds a holder ends by itself; `waiting_s` is for an order to come."""
    return math.ceil(timeout_s + waiting_s + DEAD_MAN_GRACE_S)


def container_options(name: str, image: str, ends_after_s: int, owner: Owner) -> dict[str, Any]:
    """Return the keyword arguments of the SDK's `create_container`, host options apart."""
    return {
        "image": image,
        "name": name,
        "entrypoint": ["sleep", str(ends_after_s)],
        "command": [],
        "user": HOLDER_USER,
        "working_dir": WORKSPACE,
        "environment": dict(PROGRAM_ENVIRONMENT),
        "hostname": "sandbox",
        "labels": labels(owner),
        # Besides network_mode none: skips the engine's network set-up, which halves the start.
        "network_disabled": True,
        "healthcheck": {"test": ["NONE"]},
    }


def host_options(policy: Policy, owner: Owner) -> dict[str, Any]:
    """Return the keyword arguments of the SDK's `create_host_config`: every wall of the container."""
    return {
        "network_mode": "none",
        "read_only": True,
        "mounts": [_workspace(policy, owner)],
        "tmpfs": {"/tmp": f"rw,nosuid,nodev,mode=1777,size={policy.tmp_bytes}"},
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges:true", f"seccomp={docker_profile()}"],
        "mem_limit": policy.memory_bytes,
        "memswap_limit": policy.memory_bytes,  # the same: no swap
        "pids_limit": policy.pids,
        "nano_cpus": int(policy.cpus * 1e9),
        "ulimits": [
            {"Name": "nofile", "Soft": policy.open_files, "Hard": policy.open_files},
            {"Name": "fsize", "Soft": policy.workspace_bytes, "Hard": policy.workspace_bytes},
            {"Name": "core", "Soft": 0, "Hard": 0},
        ],
        "shm_size": policy.shm_bytes,
        "log_config": {"Type": "none", "Config": {}},  # a program's output must not fill the host's disk
        "init": True,  # reaps orphans
        "auto_remove": True,  # the dead-man timer leaves nothing behind
        "ipc_mode": "private",
        "cgroupns": "private",
        "runtime": policy.runtime,
    }


def _workspace(policy: Policy, owner: Owner) -> dict[str, Any]:
    """Return an anonymous memory-backed volume.

    A plain tmpfs comes back empty from a copy out, and a disk volume has no quota; this has neither fault.
    No uid option: the engine's user name space mapping would make it unreadable.
    """
    options = f"mode=1777,size={policy.workspace_bytes},nr_inodes={policy.workspace_inodes},nosuid,nodev"
    return {
        "Target": WORKSPACE,
        "Type": "volume",
        "VolumeOptions": {
            "NoCopy": True,
            "Labels": labels(owner),
            "DriverConfig": {"Name": "local", "Options": {"type": "tmpfs", "device": "tmpfs", "o": options}},
        },
    }
