"""Cut the part of one actor process out of the settings tree."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec

from config.parts import ActorConfig, LogPart
from config.sections import Rates
from config.settings import Settings, key_names


def part(settings: Settings, process: str, needs: Iterable[str]) -> bytes:
    """Return the JSON that `config.parts.decode` reads: what this process needs, and no secret.

    `needs` names parts: `model`, the models that can be called; `sandbox`, what isolates programs.
    """
    parts: dict[str, Any] = {}
    for need in needs:
        parts[need] = _raw(_models(settings) if need == "model" else settings.sandbox.model_dump())
    config = ActorConfig(
        bus=_raw(_bus(settings)),
        log=LogPart(level=settings.log.level, secret_env=key_names(settings)),
        parts=parts,
        own=_raw(_plain(settings.actors.get(process, {}))),
    )
    return msgspec.json.encode(config)


def _raw(value: object) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(value))


def _plain(value: Any) -> Any:
    """Return what YAML said with numbers as JSON has them; amounts of money are written as text."""
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    return float(value) if isinstance(value, Decimal) else value


def _bus(settings: Settings) -> dict[str, Any]:
    """Return how a loop pulls and saves: what is older than half the duplicate window is looked for first."""
    bus = settings.bus
    return {
        "window": bus.window,
        "ack_wait_s": bus.ack_wait_s,
        "checkpoint_every": bus.checkpoint_every,
        "old_after_s": bus.duplicate_window_s / 2,
    }


def _models(settings: Settings) -> dict[str, Any]:
    models = {name: _terms(settings, name) for name in settings.models.catalog}
    return {"models": models, "scripts": settings.models.scripts}


def _terms(settings: Settings, name: str) -> dict[str, Any]:
    """Return one model that can be called, with what it costs in pico-dollars a token."""
    model = settings.models.catalog[name]
    price = settings.prices.providers[model.provider].models[name]
    peak = None if price.peak is None else {"minutes": price.peak.minutes, **_rates(price.peak)}
    stale_from_ns = _stale_from_ns(settings, model.provider)
    return {**model.model_dump(), **_rates(price), "stale_from_ns": stale_from_ns, "peak": peak}


def _rates(rates: Rates) -> dict[str, int | None]:
    return {
        "input_picousd_per_token": rates.input_picousd_per_token,
        "output_picousd_per_token": rates.output_picousd_per_token,
        "cache_hit_picousd_per_token": rates.cache_hit_picousd_per_token,
    }


def _stale_from_ns(settings: Settings, provider: str) -> int | None:
    """Return when the prices of a provider are too old: after the last second of their last day (UTC)."""
    as_of = settings.prices.providers[provider].as_of
    if as_of is None:
        return None
    first = datetime(as_of.year, as_of.month, as_of.day, tzinfo=UTC) - datetime(1970, 1, 1, tzinfo=UTC)
    return (first + timedelta(days=settings.prices.max_age_days + 1)) // timedelta(seconds=1) * 10**9
