"""Cut the part of one actor process out of the settings tree."""

from datetime import UTC, datetime, timedelta

import msgspec

from config.parts import ActorConfig, BusPart, LogPart, ModelPart, ModelTerms, PeakTerms, SandboxPart
from config.sections import PeakRates
from config.settings import Settings, key_names

ROLES_WITH_A_MODEL = ("coo", "engineer", "qa")
"""A role's model mailbox lives in the role's process, so both names mean that one process."""

ACTORS = (*ROLES_WITH_A_MODEL, "budget", "approval", "sandbox", "clock")


class UnknownActor(Exception):
    """No actor has this name, so nothing says what it should be told."""

    def __init__(self, actor: str) -> None:
        self.actor = actor
        super().__init__(f"no actor is called {actor!r}; there are {', '.join(ACTORS)}")


def part(settings: Settings, actor: str) -> bytes:
    """Return the JSON that `config.parts.decode` reads, with only what this actor needs; no secret is in it.

    Raises:
        UnknownActor: `actor` is neither an actor nor a role's model mailbox.
    """
    process = actor.removeprefix("model-")
    if process not in ACTORS or (process != actor and process not in ROLES_WITH_A_MODEL):
        raise UnknownActor(actor)
    config = ActorConfig(
        bus=BusPart(**settings.bus.model_dump()),
        log=LogPart(level=settings.log.level, secret_env=key_names(settings)),
        model=_model(settings, process) if process in ROLES_WITH_A_MODEL else None,
        sandbox=SandboxPart(**settings.sandbox.model_dump()) if process == "sandbox" else None,
    )
    return msgspec.json.encode(config)


def _model(settings: Settings, role: str) -> ModelPart:
    defaults: dict[str, str] = settings.models.roles.model_dump()
    terms = {name: _terms(settings, name) for name in settings.models.catalog}
    return ModelPart(default=defaults[role], models=terms, scripts=settings.models.scripts)


def _terms(settings: Settings, name: str) -> ModelTerms:
    model = settings.models.catalog[name]
    price = settings.prices.providers[model.provider].models[name]
    return ModelTerms(
        stale_from_ns=_stale_from_ns(settings, model.provider),
        **model.model_dump(),
        input_picousd_per_token=price.input_picousd_per_token,
        output_picousd_per_token=price.output_picousd_per_token,
        cache_hit_picousd_per_token=price.cache_hit_picousd_per_token,
        peak=_peak(price.peak),
    )


def _peak(peak: PeakRates | None) -> PeakTerms | None:
    if peak is None:
        return None
    return PeakTerms(
        minutes=peak.minutes,
        input_picousd_per_token=peak.input_picousd_per_token,
        output_picousd_per_token=peak.output_picousd_per_token,
        cache_hit_picousd_per_token=peak.cache_hit_picousd_per_token,
    )


def _stale_from_ns(settings: Settings, provider: str) -> int | None:
    """Return when the prices of a provider are too old: after the last second of their last day (UTC)."""
    as_of = settings.prices.providers[provider].as_of
    if as_of is None:
        return None
    first = datetime(as_of.year, as_of.month, as_of.day, tzinfo=UTC) - datetime(1970, 1, 1, tzinfo=UTC)
    return (first + timedelta(days=settings.prices.max_age_days + 1)) // timedelta(seconds=1) * 10**9
