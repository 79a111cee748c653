"""The configuration of a company in memory: constants, so that a seed means the same on every machine."""

from __future__ import annotations

import msgspec

from actors.performers.model.catalog import ModelPart, ModelTerms
from bus.loops.means import LoopSettings
from config.parts import ActorConfig, LogPart
from sandbox import Policy

ACK_WAIT_S = 5
WINDOW_S = 60


def config_of(process: str) -> ActorConfig:
    """Return a process's configuration: constants, so that a seed means the same on every machine."""
    bus = LoopSettings(window=8, ack_wait_s=ACK_WAIT_S, checkpoint_every=7, old_after_s=WINDOW_S / 2)
    terms = ModelTerms(
        provider="scripted",
        max_output_tokens=8_000,
        context_tokens=131_072,
        timeout_s=5.0,
        input_picousd_per_token=1_000_000,
        output_picousd_per_token=4_000_000,
        cache_hit_picousd_per_token=None,
    )
    parts = {
        "model": ModelPart(models={"scripted": terms}),
        "sandbox": Policy(backend="bubblewrap"),
    }
    return ActorConfig(
        bus=_raw(bus),
        log=LogPart(level="error", secret_env=()),
        parts={name: _raw(value) for name, value in parts.items()},
    )


def _raw(value: object) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(value))
