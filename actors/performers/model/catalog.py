"""What a role's models are and cost: the part of the settings that a performer of calls is handed."""

from __future__ import annotations

import msgspec


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
    """The models that can be called, by name; `scripts` is where the scripted one answers from."""

    models: dict[str, ModelTerms]
    scripts: str = ""
