from typing import Any

import msgspec
import pytest

from actors.performers.model.catalog import ModelPart, ModelTerms
from actors.table import TABLE
from bus.loops.means import LoopSettings
from config.parts import LogPart, decode
from config.sections import Sandbox
from config.settings import Settings, load
from config.split import part
from sandbox import Policy

LOG = LogPart(level="info", secret_env=("OPENROUTER_API_KEY", "DEEPSEEK_API_KEY", "ZAI_API_KEY"))
MODEL = ModelPart(
    models={
        "scripted": ModelTerms(
            provider="scripted",
            max_output_tokens=8000,
            context_tokens=131_072,
            timeout_s=5.0,
            input_picousd_per_token=1_000_000,
            output_picousd_per_token=4_000_000,
            cache_hit_picousd_per_token=None,
        )
    },
)
OWNERS: dict[str, tuple[type, Any]] = {"model": (ModelPart, MODEL), "sandbox": (Policy, Policy())}
"""The type that the owner of a part reads it with, and what the packaged settings come to there."""


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("XDG_CONFIG_HOME", "/nonexistent")
    return load()


@pytest.mark.parametrize(
    ("process", "needs"),
    [
        ("coo", {"model"}),
        ("engineer", {"model"}),
        ("qa", {"model"}),
        ("budget", set()),
        ("approval", set()),
        ("sandbox", {"sandbox"}),
        ("clock", set()),
    ],
)
def test_an_actor_is_told_what_it_needs_and_no_more(
    settings: Settings, process: str, needs: set[str]
) -> None:
    config = decode(part(settings, process, TABLE.needs_of(process)))

    assert config.log == LOG
    assert msgspec.json.decode(config.bus, type=LoopSettings) == LoopSettings()
    assert config.parts.keys() == needs
    for name, raw in config.parts.items():
        type_, told = OWNERS[name]
        assert msgspec.json.decode(raw, type=type_) == told


def test_the_sandbox_s_settings_are_its_policy_s_fields() -> None:
    """They are validated where they are set, and read where they count: one list of names for both."""
    assert list(Sandbox.model_fields) == [one.name for one in msgspec.structs.fields(Policy)]


def test_an_actor_of_a_package_is_told_what_stands_under_its_name(tmp_path: Any) -> None:
    file = tmp_path / "config.yaml"
    file.write_text("actors: {poet: {verses: 3, rhyme: true, mood: 0.5, of: {love: [1, 2.5]}}}\n")

    config = decode(part(load(file), "poet", ()))

    assert msgspec.json.decode(config.own) == {
        "verses": 3,
        "rhyme": True,
        "mood": 0.5,
        "of": {"love": [1, 2.5]},
    }
    assert bytes(decode(part(load(file), "critic", ())).own) == b"{}"


def test_no_secret_is_handed_over(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENROUTER_API_KEY", "sk-or-1")

    assert not any(b"sk-or-1" in part(settings, name, TABLE.needs_of(name)) for name in TABLE.processes)


def test_what_is_no_configuration_is_refused() -> None:
    with pytest.raises(msgspec.ValidationError):
        decode(b'{"log":{"level":"info"}}')
