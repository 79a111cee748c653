import subprocess
import sys

import msgspec
import pytest

from config.parts import ActorConfig, BusPart, LogPart, ModelPart, ModelTerms, SandboxPart, decode
from config.settings import Settings, load
from config.split import ACTORS, UnknownActor, part
from sandbox.policy import Policy

BUS = BusPart(
    ack_wait_s=10,
    duplicate_window_s=600,
    max_ack_pending=1000,
    window=256,
    checkpoint_every=256,
)
LOG = LogPart(level="info", secret_env=("OPENROUTER_API_KEY", "DEEPSEEK_API_KEY", "ZAI_API_KEY"))
MODEL = ModelPart(
    default="scripted",
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
SANDBOX = SandboxPart(
    backend="auto",
    image="coo-sandbox:latest",
    runtime=None,
    docker_host="unix:///var/run/docker.sock",
    runtime_dir="",
    parallel=4,
    timeout_s=300.0,
    memory_bytes=536_870_912,
    pids=128,
    cpus=1.0,
    workspace_bytes=134_217_728,
    workspace_inodes=16_384,
    tmp_bytes=67_108_864,
    shm_bytes=16_777_216,
    open_files=1024,
    output_bytes=262_144,
    flood_bytes=16_777_216,
    files_bytes=33_554_432,
    files_count=1000,
    file_bytes=8_388_608,
)


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("XDG_CONFIG_HOME", "/nonexistent")
    return load()


@pytest.mark.parametrize(
    ("actor", "config"),
    [
        ("coo", ActorConfig(bus=BUS, log=LOG, model=MODEL)),
        ("model-coo", ActorConfig(bus=BUS, log=LOG, model=MODEL)),
        ("engineer", ActorConfig(bus=BUS, log=LOG, model=MODEL)),
        ("qa", ActorConfig(bus=BUS, log=LOG, model=MODEL)),
        ("budget", ActorConfig(bus=BUS, log=LOG)),
        ("approval", ActorConfig(bus=BUS, log=LOG)),
        ("sandbox", ActorConfig(bus=BUS, log=LOG, sandbox=SANDBOX)),
        ("clock", ActorConfig(bus=BUS, log=LOG)),
    ],
)
def test_an_actor_is_told_what_it_needs_and_no_more(
    settings: Settings, actor: str, config: ActorConfig
) -> None:
    assert decode(part(settings, actor)) == config


def test_the_sandbox_s_own_defaults_are_the_packaged_ones() -> None:
    told = msgspec.structs.asdict(SANDBOX)
    del told["backend"]

    assert Policy(**told) == Policy()


@pytest.mark.parametrize("actor", ["ceo", "model-budget", "", "model-"])
def test_nothing_is_handed_to_an_actor_that_is_none(settings: Settings, actor: str) -> None:
    with pytest.raises(UnknownActor):
        part(settings, actor)


def test_no_secret_is_handed_over(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENROUTER_API_KEY", "sk-or-1")

    assert not any(b"sk-or-1" in part(settings, actor) for actor in ACTORS)


def test_what_is_no_configuration_is_refused() -> None:
    with pytest.raises(msgspec.ValidationError):
        decode(b'{"bus":{},"log":{"level":"info","secret_env":[]}}')


def test_an_actor_s_import_path_has_no_pydantic() -> None:
    code = "import sys, config.parts; print(sorted({'pydantic', 'yaml', 'typer'} & set(sys.modules)))"

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout == "[]\n"
