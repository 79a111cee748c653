"""The settings tree of the company: read by the `coo` command and the supervisor, never by an actor.

Packaged defaults < the user's file < environment `COO_<SECTION>__<KEY>` < options. Every error names the key
and the file, variable or option it stands in. Secrets come from the environment and from nowhere else.
"""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import Field, SecretStr, ValidationError
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from config import endpoints
from config.layers import (
    DELIMITER,
    PREFIX,
    ConfigError,
    Key,
    Layer,
    Place,
    Problem,
    environment_layer,
    file_layer,
    merged,
    option_layer,
    packaged_layers,
    place_near,
    place_of,
)
from config.sections import Approvals, Bus, Limits, Log, Mission, Models, Prices, Sandbox
from config.tree import suggestion

__all__ = [
    "ConfigError",
    "Origin",
    "Problem",
    "Settings",
    "load",
    "origins",
    "secrets",
    "user_path",
    "validate",
]


class Settings(BaseSettings):
    """Everything that can be set. Made by `load`, which knows where each value comes from."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_nested_delimiter=DELIMITER,
        env_ignore_empty=True,
        env_parse_none_str="null",
        extra="forbid",
        frozen=True,
    )

    limits: Limits = Field(description="Money.")
    mission: Mission = Field(description="What one mission may take.")
    models: Models = Field(description="Which models are called.")
    prices: Prices = Field(description="What the models cost.")
    sandbox: Sandbox = Field(description="What isolates a program, and what one program may use.")
    approvals: Approvals = Field(description="What waits for the CEO.")
    bus: Bus = Field(description="How mail is carried.")
    log: Log = Field(description="What is logged.")
    actors: dict[str, dict[str, Any]] = Field(
        default={}, description="What actors of installed packages are told, by their names."
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        # `load` reads the layers one by one, the environment too, because errors and origins need each alone.
        return (init_settings,)


@dataclass(frozen=True)
class Origin:
    """One setting, its value, and where it was set; `place` is None for what is set nowhere."""

    key: str
    value: object
    place: Place | None


def user_path() -> Path:
    """Return where the user's own file is looked for; it need not exist."""
    home = Path(os.environ.get("XDG_CONFIG_HOME", ""))
    # The XDG specification: a relative path there is invalid and is to be ignored.
    if not home.is_absolute():
        try:
            home = Path.home() / ".config"
        except RuntimeError:  # no HOME, and a user without an entry in passwd: there is no file then
            home = Path("/nonexistent")
    return home / "coo" / "config.yaml"


def load(path: Path | None = None, overrides: Mapping[str, object] | None = None) -> Settings:
    """Return the settings; `path` replaces the user's own file, `overrides` is shaped like the tree.

    Raises:
        ConfigError: with every problem found, each naming its key and its place. That the user has no file
            is no problem, unless it was asked for by `path`.
    """
    return _checked(_layers(path, overrides))


def origins(path: Path | None = None, overrides: Mapping[str, object] | None = None) -> list[Origin]:
    """Return every setting with its value and where it was set, in the order of the tree.

    Raises:
        ConfigError: as `load`.
    """
    layers = _layers(path, overrides)
    settings = _checked(layers)
    return [
        Origin(".".join(key), value, place_of(key, layers)) for key, value in _flat(settings.model_dump(), ())
    ]


def validate(path: Path) -> list[Problem]:
    """Return what is wrong with one file on top of the packaged defaults, without the environment."""
    try:
        _checked([*packaged_layers(), file_layer(path, str(path))])
    except ConfigError as error:
        return list(error.problems)
    return []


def secrets(settings: Settings) -> dict[str, SecretStr]:
    """Return the secrets that are set, by the environment variable they are in."""
    found = ((name, os.environ.get(name)) for name in key_names(settings))
    return {name: SecretStr(value) for name, value in found if value}


def key_names(settings: Settings) -> tuple[str, ...]:
    """Return every environment variable that holds a key."""
    used = (model.key_env for model in settings.models.catalog.values() if model.key_env)
    return tuple(dict.fromkeys([*settings.models.key_env, *used]))


def _layers(path: Path | None, overrides: Mapping[str, object] | None) -> list[Layer]:
    layers = list(packaged_layers())
    if path is not None or user_path().exists():
        file = path or user_path()
        layers.append(file_layer(file, str(file)))
    return [*layers, environment_layer(Settings), option_layer(overrides or {})]


def _checked(layers: list[Layer]) -> Settings:
    try:
        settings = Settings.model_validate(merged(layers))
    except ValidationError as error:
        # Only the message of an error is shown: its input may be a secret in the wrong place.
        found = error.errors(include_url=False, include_input=False)
        problems = [_problem(details, layers) for details in found]
        raise ConfigError(sorted(problems, key=_reading_order)) from None
    conflicts = [_located(key, message, layers) for key, message in _conflicts(settings)]
    if conflicts:
        raise ConfigError(conflicts)
    return settings


def _reading_order(problem: Problem) -> tuple[str, int]:
    return problem.place.source, problem.place.line or 0


def _problem(details: ErrorDetails, layers: list[Layer]) -> Problem:
    key = tuple(map(str, details["loc"]))
    match details["type"]:
        case "extra_forbidden":
            meant = suggestion(Settings, key)
            hint = f' — did you mean "{meant}"?' if meant else ""
            return _located(key, f'unknown key "{key[-1]}"{hint}', layers)
        case "missing":
            return _located(key, f'missing key "{".".join(key)}"', layers)
        case "model_type" | "dict_type":
            return _located(key, f'"{".".join(key)}" must be a section with keys', layers)
        case "value_error":
            return _located(key, f"{'.'.join(key)}: {details['ctx']['error']}", layers)
        case _:
            return _located(key, f"{'.'.join(key)}: {details['msg']}", layers)


def _located(key: Key, message: str, layers: list[Layer]) -> Problem:
    return Problem(place_near(key, layers), message)


def _conflicts(settings: Settings) -> Iterator[tuple[Key, str]]:
    """Yield what is wrong between settings that are each right alone."""
    catalog, box, bus = settings.models.catalog, settings.sandbox, settings.bus
    for role, name in settings.models.roles:
        if name not in catalog:
            known = ", ".join(sorted(catalog))
            yield ("models", "roles", role), f'models.roles.{role}: no model "{name}"; there is {known}'
    for name, model in catalog.items():
        if settings.prices.find(model.provider, name) is None:
            key = f"prices.providers.{model.provider}.models.{name}"
            yield ("models", "catalog", name), f'model "{name}" has no price; add {key}'
        if model.provider == "openai" and (wrong := endpoints.problem(model.base_url)):
            yield ("models", "catalog", name), f"models.catalog.{name}.base_url: {wrong}"
    if box.file_bytes > box.files_bytes:
        yield ("sandbox", "file_bytes"), "sandbox.file_bytes must not be above sandbox.files_bytes"
    if box.workspace_bytes + box.tmp_bytes + box.shm_bytes >= box.memory_bytes:
        message = "sandbox.memory_bytes must be above workspace_bytes, tmp_bytes and shm_bytes together"
        yield ("sandbox", "memory_bytes"), message
    if bus.window > bus.max_ack_pending:
        yield ("bus", "window"), "bus.window must not be above bus.max_ack_pending"


def _flat(tree: Mapping[str, object], path: Key) -> Iterator[tuple[Key, object]]:
    for name, value in tree.items():
        if isinstance(value, Mapping):
            yield from _flat(value, (*path, name))
        else:
            yield (*path, name), value
