"""How much a run may use and where it runs: the one value this package is configured by."""

from typing import Literal

import msgspec

KIB = 1024
MIB = 1024 * KIB


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """Limit every run.

    backend: what isolates programs; `auto` is Docker if it answers and has the image, else bubblewrap.
    image: what Docker runs; never pulled by itself. Made by `build_image`.
    runtime: None for the engine's own, `runsc` for gVisor, which answers kernel bugs.
    docker_host: where the engine listens.
    runtime_dir: where bubblewrap's root file system is kept; "" is /var/cache/coo-sandbox for root, else
        ~/.cache/coo-sandbox.
    parallel: runs at once; further ones wait. Each holds two threads.
    pool: started containers kept waiting for the next order, so that it needs not wait for one; 0 is none.
        Each costs some 5 MB while it waits. Docker only.
    timeout_s: the longest a program may run, whatever its order says, in wall-clock seconds.
    memory_bytes: memory of the whole run; swap is off, so that a leak ends quickly instead of thrashing. The
        workspace, /tmp and shared memory count into it under Docker.
    pids: processes and threads at once; stops fork bombs.
    cpus: share of processors, so that runs leave some to the machine. Docker only.
    workspace_bytes, workspace_inodes: size of /workspace, and files in it (Docker only).
    tmp_bytes, shm_bytes: sizes of /tmp and /dev/shm.
    open_files: file descriptors of one process.
    output_bytes: what is kept of each of stdout and stderr, half from its start and half from its end. More
        would not help a reader and costs tokens.
    flood_bytes: a stream that writes more than this ends the run.
    files_bytes, files_count, file_bytes: what is taken out of the workspace: bytes together, files, bytes of
        one.
    """

    backend: Literal["auto", "docker", "bubblewrap"] = "auto"
    image: str = "coo-sandbox:latest"
    runtime: Literal["runsc"] | None = None
    docker_host: str = "unix:///var/run/docker.sock"
    runtime_dir: str = ""
    parallel: int = 4
    pool: int = 2
    timeout_s: float = 300.0
    memory_bytes: int = 512 * MIB
    pids: int = 128
    cpus: float = 1.0
    workspace_bytes: int = 128 * MIB
    workspace_inodes: int = 16_384
    tmp_bytes: int = 64 * MIB
    shm_bytes: int = 16 * MIB
    open_files: int = 1024
    output_bytes: int = 256 * KIB
    flood_bytes: int = 16 * MIB
    files_bytes: int = 32 * MIB
    files_count: int = 1000
    file_bytes: int = 8 * MIB
