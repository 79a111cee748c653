"""The part of the settings that one actor process is handed, as JSON.

Plain msgspec values: this module is on every actor's import path, where pydantic has no place.
"""

from typing import Literal

import msgspec


class BusPart(msgspec.Struct, frozen=True, kw_only=True):
    """How mail is carried. Times are seconds."""

    ack_wait_s: int
    duplicate_window_s: int
    max_ack_pending: int
    window: int
    checkpoint_every: int


class LogPart(msgspec.Struct, frozen=True, kw_only=True):
    """What is logged. `secret_env` names the environment variables whose values are scrubbed."""

    level: Literal["debug", "info", "warning", "error"]
    secret_env: tuple[str, ...]


class PeakTerms(msgspec.Struct, frozen=True, kw_only=True):
    """What a model costs in its provider's peak hours: [start, end) in minutes since Monday 00:00 UTC."""

    minutes: tuple[tuple[int, int], ...]
    input_picousd_per_token: int
    output_picousd_per_token: int
    cache_hit_picousd_per_token: int | None = None


class ModelTerms(msgspec.Struct, frozen=True, kw_only=True):
    """One callable model, with what it costs in integer pico-dollars per token.

    `model` is its name at the provider; "" is the name it has here. `stale_from_ns` is when its price is
    too old to call it, in nanoseconds since 1970; None: never.
    """

    provider: str
    max_output_tokens: int
    context_tokens: int
    timeout_s: float
    input_picousd_per_token: int
    output_picousd_per_token: int
    cache_hit_picousd_per_token: int | None
    min_output_tokens: int = 1000
    base_url: str = ""
    key_env: str | None = None
    model: str = ""
    stale_from_ns: int | None = None
    peak: PeakTerms | None = None


class ModelPart(msgspec.Struct, frozen=True, kw_only=True):
    """The models a role's process can call by name, and which of them it calls unless told otherwise.

    `scripts` is the folder the scripted model answers from; "" is the packaged one.
    """

    default: str
    models: dict[str, ModelTerms]
    scripts: str = ""


class SandboxPart(msgspec.Struct, frozen=True, kw_only=True):
    """What isolates a program, and what one program may use."""

    backend: Literal["auto", "docker", "bubblewrap"]
    image: str
    runtime: Literal["runsc"] | None
    docker_host: str
    runtime_dir: str
    parallel: int
    timeout_s: float
    memory_bytes: int
    pids: int
    cpus: float
    workspace_bytes: int
    workspace_inodes: int
    tmp_bytes: int
    shm_bytes: int
    open_files: int
    output_bytes: int
    flood_bytes: int
    files_bytes: int
    files_count: int
    file_bytes: int
    pool: int = 2


class ActorConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything one actor process is told; a part it has no use for is None."""

    bus: BusPart
    log: LogPart
    model: ModelPart | None = None
    sandbox: SandboxPart | None = None


def decode(data: bytes) -> ActorConfig:
    """Return the configuration in `data`, as `config.split.part` wrote it.

    Raises:
        msgspec.ValidationError: the JSON is not an `ActorConfig`.
        msgspec.DecodeError: it is not JSON.
    """
    return msgspec.json.decode(data, type=ActorConfig)
