import os
from datetime import date
from pathlib import Path

import pytest
from pydantic import SecretStr

from config.layers import Place
from config.settings import ConfigError, Origin, load, origins, secrets, user_path, validate


@pytest.fixture(autouse=True)
def _nothing_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [name for name in os.environ if name.upper().startswith("COO_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "xdg"))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "config.yaml"


def problems(file: Path, text: str) -> list[str]:
    """Return what is wrong with a file of this text, without the folder it is in."""
    file.write_text(text)
    return [str(problem).removeprefix(f"{file.parent}/") for problem in validate(file)]


def test_the_packaged_defaults_are_complete() -> None:
    settings = load()

    assert (settings.limits.daily_microusd, settings.limits.monthly_microusd) == (20_000_000, 200_000_000)
    assert settings.limits.mission_microusd == 1_000_000
    assert (settings.approvals.ask, settings.approvals.on_new_day) == (("raise",), "resume")
    assert settings.models.roles.model_dump() == {"coo": "scripted", "engineer": "scripted", "qa": "scripted"}


def test_an_option_wins_over_the_environment_over_the_file_over_the_package(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file.write_text("mission: {max_tasks: 4, max_rounds: 4, max_loops: 4}")
    monkeypatch.setenv("COO_MISSION__MAX_ROUNDS", "5")
    monkeypatch.setenv("COO_MISSION__MAX_LOOPS", "5")

    mission = load(file, {"mission": {"max_loops": 6}}).mission

    assert (mission.max_messages, mission.max_tasks, mission.max_rounds, mission.max_loops) == (5000, 4, 5, 6)


def test_every_setting_says_where_it_was_set(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file.write_text("limits:\n  daily_usd: 5.50\n")
    monkeypatch.setenv("COO_LIMITS__MONTHLY_USD", "7")
    monkeypatch.setenv("COO_APPROVALS", '{"timeout_s": 30}')

    by_key = {origin.key: origin for origin in origins(file, {"log": {"level": "debug"}})}

    assert [by_key[key] for key in ("limits.daily_usd", "limits.monthly_usd", "limits.mission_usd")] == [
        Origin("limits.daily_usd", "5.50", Place(str(file), 2)),
        Origin("limits.monthly_usd", "7", Place("COO_LIMITS__MONTHLY_USD")),
        Origin("limits.mission_usd", "1.00", Place("config/company.yaml", 6)),
    ]
    assert by_key["approvals.timeout_s"] == Origin("approvals.timeout_s", 30, Place("COO_APPROVALS"))
    assert by_key["log.level"] == Origin("log.level", "debug", Place("option log.level"))
    unset = "prices.providers.scripted.models.scripted.cache_hit_usd_per_mtok"
    assert by_key[unset] == Origin(unset, None, None)


def test_the_user_s_file_is_found_by_the_xdg_rules(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert user_path() == tmp_path / "xdg" / "coo" / "config.yaml"

    monkeypatch.setenv("XDG_CONFIG_HOME", "relative")
    monkeypatch.setenv("HOME", "/home/ceo")
    assert user_path() == Path("/home/ceo/.config/coo/config.yaml")


def test_the_user_s_file_is_read_without_being_named() -> None:
    user_path().parent.mkdir(parents=True)
    user_path().write_text("limits: {mission_usd: 3}")

    assert load().limits.mission_microusd == 3_000_000


def test_a_named_file_must_be_there(file: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load(file)

    assert str(caught.value) == f"{file}: cannot be read: No such file or directory"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("\n\nlimits:\n  daly_usd: 1", 'config.yaml:4: unknown key "daly_usd" — did you mean "daily_usd"?'),
        ("limit: {}", 'config.yaml:1: unknown key "limit" — did you mean "limits"?'),
        ("log: {daily_usd: 1}", 'config.yaml:1: unknown key "daily_usd" — did you mean "limits.daily_usd"?'),
        ("frobnicate: 1", 'config.yaml:1: unknown key "frobnicate"'),
        ("secrets: {openrouter: x}", 'config.yaml:1: unknown key "secrets"'),
        (
            "models: {catalog: {scripted: {timeout: 1}}}",
            'config.yaml:1: unknown key "timeout" — did you mean "timeout_s"?',
        ),
    ],
)
def test_an_unknown_key_is_named_with_its_file_and_line(file: Path, text: str, found: str) -> None:
    assert problems(file, text) == [found]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (
            "limits: {daily_usd: -1}",
            "limits.daily_usd: -1 is not an amount. Write 2.00 (US dollars, at most 6 decimals).",
        ),
        (
            "limits: {daily_usd: .nan}",
            "limits.daily_usd: .nan is not an amount. Write 2.00 (US dollars, at most 6 decimals).",
        ),
        (
            "mission: {max_tasks: yes}",
            "mission.max_tasks: must not be yes or no: no setting is a truth value",
        ),
        ("bus: {ack_wait_s: 0}", "bus.ack_wait_s: Input should be greater than or equal to 1"),
        ("sandbox: {cpus: inf}", "sandbox.cpus: Input should be a finite number"),
        ("log: 5", '"log" must be a section with keys'),
        ("log: {level: loud}", "log.level: Input should be 'debug', 'info', 'warning' or 'error'"),
        ("limits: {daily_usd: 1, daily_usd: 2}", 'key "daily_usd" is there twice'),
        ("models: {roles: {qa: gpt}}", 'models.roles.qa: no model "gpt"; there is scripted'),
        (
            "models: {catalog: {big: "
            "{provider: scripted, max_output_tokens: 1, context_tokens: 1, timeout_s: 1}}}",
            'model "big" has no price; add prices.providers.scripted.models.big',
        ),
        ("sandbox: {file_bytes: 99999999}", "sandbox.file_bytes must not be above sandbox.files_bytes"),
        (
            "sandbox: {memory_bytes: 99999999}",
            "sandbox.memory_bytes must be above workspace_bytes, tmp_bytes and shm_bytes together",
        ),
        ("bus: {window: 1001}", "bus.window must not be above bus.max_ack_pending"),
        ("- limits", "must be sections with keys, such as `limits:`"),
        ("a: &x 1\nb: *x", "not YAML: aliases (*name) are not supported"),
        ("[", "not YAML: expected the node content, but found '<stream end>'"),
        (
            "log: {level: !!python/object:os.system x}",
            "unknown tag tag:yaml.org,2002:python/object:os.system",
        ),
    ],
)
def test_what_is_wrong_is_said_in_one_line(file: Path, text: str, found: str) -> None:
    assert [line.split(": ", 1)[1] for line in problems(file, text)] == [found]


def test_a_model_that_is_half_described_lacks_the_rest(file: Path) -> None:
    assert problems(file, "models:\n  catalog:\n    big: {provider: scripted, timeout_s: 0.5}") == [
        'config.yaml:3: missing key "models.catalog.big.max_output_tokens"',
        'config.yaml:3: missing key "models.catalog.big.context_tokens"',
    ]


def test_a_price_of_zero_is_refused(file: Path) -> None:
    text = "prices: {providers: {scripted: {models: {scripted: {input_usd_per_mtok: 0}}}}}"

    assert problems(file, text) == [
        "config.yaml:1: prices.providers.scripted.models.scripted.input_usd_per_mtok: "
        "a price of zero is refused: a call that seems free cannot be held to a budget"
    ]


def test_a_file_and_a_section_may_be_empty(file: Path) -> None:
    assert problems(file, "") == []
    assert problems(file, "limits:\n# daily_usd: 1\n") == []


def test_all_problems_are_found_at_once_in_reading_order(file: Path) -> None:
    found = problems(file, "log:\n  level: x\nlimits:\n  daly_usd: 1\n")

    assert [line.split(": ")[0] for line in found] == ["config.yaml:2", "config.yaml:4"]


@pytest.mark.parametrize(
    ("name", "value", "found"),
    [
        (
            "COO_LIMITS__DALY_USD",
            "1",
            'COO_LIMITS__DALY_USD: unknown key "daly_usd" — did you mean "daily_usd"?',
        ),
        (
            "COO_LIMITZ__DAILY_USD",
            "1",
            "COO_LIMITZ__DAILY_USD: names no setting; sections are limits, mission, models, prices, sandbox, "
            "approvals, bus, log, actors",
        ),
        (
            "COO_LIMITS__DAILY_USD",
            "2,00",
            "COO_LIMITS__DAILY_USD: limits.daily_usd: 2,00 is not an amount. "
            "Write 2.00 (US dollars, at most 6 decimals).",
        ),
        (
            "COO_LIMITS__DAILY_USD__X",
            "1",
            "COO_LIMITS__DAILY_USD__X: limits.daily_usd: not an amount. "
            "Write 2.00 (US dollars, at most 6 decimals).",
        ),
        (
            "COO_APPROVALS__ASK",
            "release",
            'environment: error parsing value for field "approvals" from source "EnvSettingsSource"; '
            """a list is written as JSON, such as '["release"]'""",
        ),
    ],
)
def test_a_wrong_variable_is_named(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, found: str
) -> None:
    monkeypatch.setenv(name, value)

    with pytest.raises(ConfigError) as caught:
        load()

    assert str(caught.value) == found


def test_variables_that_are_no_settings_or_are_empty_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    before = load()
    for name, value in {"COO_DEBUG": "1", "COO_LIMITS__DAILY_USD": "", "XCOO_LIMITS__DAILY_USD": "1"}.items():
        monkeypatch.setenv(name, value)

    assert load() == before


def test_a_variable_can_hold_a_list_and_can_unset(monkeypatch: pytest.MonkeyPatch, file: Path) -> None:
    file.write_text("sandbox: {runtime: runsc}")
    monkeypatch.setenv("COO_APPROVALS__ASK", '["release"]')
    monkeypatch.setenv("COO_SANDBOX__RUNTIME", "null")

    settings = load(file)

    assert (settings.approvals.ask, settings.sandbox.runtime) == (("release",), None)


def test_an_option_that_is_wrong_is_named() -> None:
    with pytest.raises(ConfigError) as caught:
        load(overrides={"limits": {"mission_usd": 0.5}})

    assert str(caught.value) == (
        "option limits.mission_usd: limits.mission_usd: "
        'write the amount in quotes, as in "2.00": a float is not exact'
    )


def test_secrets_come_from_the_variables_that_are_named_and_do_not_show(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OPENROUTER_API_KEY", "sk-or-1")
    monkeypatch.delenv("DEEPSEEK_API_KEY", raising=False)
    monkeypatch.setenv("ZAI_API_KEY", "")

    found = secrets(load())

    assert found == {"OPENROUTER_API_KEY": SecretStr("sk-or-1")}
    assert "sk-or-1" not in repr(found)


def test_a_secret_put_in_a_file_is_not_repeated_in_the_error(file: Path) -> None:
    found = problems(file, "models: {key_env: [sk-or-v1-abcdef]}\nlog: {level: sk-or-v1-abcdef}")

    assert len(found) == 2
    assert not any("sk-or" in line for line in found)


def test_prices_age_but_invented_ones_do_not(file: Path) -> None:
    file.write_text("prices: {providers: {acme: {as_of: 2026-11-01, note: read by hand, models: {}}}}")
    prices = load(file).prices

    assert prices.stale(date(2026, 12, 1)) == ()
    assert prices.stale(date(2026, 12, 2)) == ("acme",)


def test_what_has_no_price_is_not_found() -> None:
    prices = load().prices
    scripted = prices.find("scripted", "scripted")

    assert prices.find("scripted", "other") is None
    assert prices.find("other", "scripted") is None
    assert scripted is not None
    assert (scripted.input_picousd_per_token, scripted.output_picousd_per_token) == (1_000_000, 4_000_000)
    assert scripted.cache_hit_picousd_per_token is None
