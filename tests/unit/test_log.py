import base64
import json
import logging
import os
import pty
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote, quote_plus

import pytest
import structlog

from actors.process import logs as log
from actors.scrub import SCRUBBED, Scrubber

SECRET = 'pässw/rd "wïth" \\ 100%+'


@pytest.fixture(autouse=True)
def _logging_as_it_was() -> Iterator[None]:
    level = logging.getLogger().level
    yield
    log.configure("test", file=None, console=False, level="info", secrets=())
    logging.getLogger().setLevel(level)
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "logs" / "qa.jsonl"
    log.configure("qa", file=file, console=False, level="info", secrets=[SECRET])
    return file


def lines(file: Path) -> list[dict[str, object]]:
    """Return the lines of a log without their times, which are checked on the way."""
    read = [json.loads(line) for line in file.read_text().splitlines()]
    for line in read:
        stamp = line.pop("timestamp")
        assert stamp.endswith("Z")
        assert len(stamp) == len("2026-11-22T08:01:31.123456Z")
    return read


def test_an_event_is_one_json_object_with_its_values_as_keys(file: Path) -> None:
    structlog.contextvars.bind_contextvars(mission="m-01")

    structlog.get_logger("actors.loop").info("hold.granted", microusd=1_500_000, nested={"a": [1, None, 0.5]})

    assert lines(file) == [
        {
            "actor": "qa",
            "event": "hold.granted",
            "level": "info",
            "logger": "actors.loop",
            "microusd": 1_500_000,
            "mission": "m-01",
            "nested": {"a": [1, None, 0.5]},
        }
    ]


def test_a_library_s_line_goes_through_the_same_chain(file: Path) -> None:
    logging.getLogger("nats.aio.client").warning("lost %s", f"nats://u:{SECRET}")

    assert lines(file) == [
        {
            "actor": "qa",
            "event": f"lost nats://u:{SCRUBBED}",
            "level": "warning",
            "logger": "nats.aio.client",
        }
    ]


def test_lines_below_the_level_are_not_written(file: Path) -> None:
    structlog.get_logger("actors").debug("letter.sent")
    logging.getLogger("docker").debug("GET /version")

    assert lines(file) == []


@pytest.mark.parametrize(
    "written",
    [
        SECRET,
        quote(SECRET),
        quote(SECRET, safe=""),
        quote_plus(SECRET),
        json.dumps({"password": SECRET}),
        json.dumps({"key": SECRET}, ensure_ascii=False),
        repr([SECRET]),
        base64.b64encode(SECRET.encode()).decode(),
        base64.urlsafe_b64encode(SECRET.encode()).decode(),
        base64.b64encode(f"a:{SECRET}".encode()).decode(),
        base64.b64encode(f"ab:{SECRET}@host".encode()).decode(),
        base64.b64encode(f"abc:{SECRET}".encode()).decode(),
    ],
)
def test_a_loaded_secret_is_in_the_file_in_no_form(file: Path, written: str) -> None:
    structlog.get_logger("actors").info("call.sent", text=f"x {written} y", **{f"k{written}": [(written,)]})

    content = file.read_text()
    core = base64.b64encode(SECRET.encode()).decode()[8:20]
    assert SCRUBBED in content
    for form in (written, json.dumps(written)[1:-1], "wïth", "w\\u00efth", "w%C3%AFth", core):
        assert form not in content


def test_an_exception_that_says_a_secret_is_written_without_it(file: Path) -> None:
    try:
        raise ConnectionError(f"401 for {SECRET}")
    except ConnectionError:
        structlog.get_logger("actors").exception("call.failed")
        logging.getLogger("aiohttp").exception("request failed")

    ours, theirs = lines(file)
    assert str(ours.pop("exception")).endswith(f"ConnectionError: 401 for {SCRUBBED}")
    assert str(theirs.pop("exception")).endswith(f"ConnectionError: 401 for {SCRUBBED}")
    assert ours == {"actor": "qa", "event": "call.failed", "level": "error", "logger": "actors"}
    assert theirs == {"actor": "qa", "event": "request failed", "level": "error", "logger": "aiohttp"}


def test_what_json_does_not_know_is_written_as_scrubbed_text(file: Path) -> None:
    structlog.get_logger("actors").info(
        "call.sent", path=Path("/a"), body=SECRET.encode(), ratio=float("nan")
    )

    assert lines(file) == [
        {
            "actor": "qa",
            "event": "call.sent",
            "level": "info",
            "logger": "actors",
            "path": "PosixPath('/a')",
            "body": repr(SECRET.encode()),
            "ratio": "nan",
        }
    ]


def test_no_value_can_break_its_line(file: Path) -> None:
    structlog.get_logger("actors").info("call.sent", text="a\nb\u2028c\x85\ud800")

    assert [line["text"] for line in lines(file)] == ["a\nb\u2028c\x85\ud800"]


def test_only_the_owner_can_read_a_log_that_was_there_before(tmp_path: Path) -> None:
    file = tmp_path / "coo.jsonl"
    file.write_text('{"timestamp": "2026-11-22T08:01:31.123456Z"}\n')
    file.chmod(0o644)

    log.configure("coo", file=file, console=False, level="info", secrets=())
    structlog.get_logger("actors").info("actor.started")

    assert file.stat().st_mode & 0o777 == 0o600
    assert [line.get("event") for line in lines(file)] == [None, "actor.started"]


def test_stderr_gets_json_when_it_is_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    log.configure("qa", file=None, console=True, level="info", secrets=[SECRET])

    structlog.get_logger("actors").info("call.sent", header=SECRET)

    line = json.loads(capsys.readouterr().err)
    assert (line["actor"], line["event"], line["header"]) == ("qa", "call.sent", SCRUBBED)


def test_a_terminal_gets_readable_lines_that_cannot_steer_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    ours, theirs = pty.openpty()
    with open(theirs, "w") as terminal, monkeypatch.context() as patch:
        patch.setattr(sys, "stderr", terminal)
        log.configure("qa", file=None, console=True, level="info", secrets=[SECRET])
        structlog.get_logger("actors").info("call.sent", header=SECRET, title="\x1b]0;owned\x07")
        seen = os.read(ours, 4096).decode()
        log.configure("qa", file=None, console=False, level="info", secrets=())
    os.close(ours)

    assert "call.sent" in seen
    assert f"header={SCRUBBED}" in seen
    assert "\x1b" not in seen
    assert SECRET not in seen


def test_a_line_that_cannot_be_written_is_reported_without_its_values(
    capsys: pytest.CaptureFixture[str],
) -> None:
    log.configure("qa", file=Path("/dev/full"), console=False, level="info", secrets=())

    structlog.get_logger("actors").info("call.sent", text="private")

    assert capsys.readouterr().err == "a log line of actors was lost: OSError\n"


@pytest.mark.parametrize(
    ("text", "scrubbed"),
    [
        ("used sk-or-v1-0123456789abcdef here", f"used {SCRUBBED} here"),
        ("Authorization: Bearer abcdefghij0123456789", f"Authorization: Bearer {SCRUBBED}"),
        ("GET /v1?api_key=abcdefgh&x=1", f"GET /v1?api_key={SCRUBBED}&x=1"),
        ('{"client_secret": "abcdefghij"}', f'{{"client_secret": "{SCRUBBED}"}}'),
        ("nats://user:hunter2@host:4222", f"nats://user:{SCRUBBED}@host:4222"),
        (f"seed S{'U' + 'A' * 56}.", f"seed {SCRUBBED}."),
        ("a eyJhbGciOiJI.eyJzdWIiOiIx.c2lnbmF0 b", f"a {SCRUBBED} b"),
        ("-----BEGIN PRIVATE KEY-----\nMIIE\nabc=\n-----END PRIVATE KEY-----\nok", f"{SCRUBBED}\nok"),
        ("-----BEGIN RSA PRIVATE KEY-----\nMIIE and no end", SCRUBBED),
    ],
)
def test_what_looks_like_a_secret_is_scrubbed_though_nobody_loaded_it(text: str, scrubbed: str) -> None:
    assert Scrubber(()).text(text) == scrubbed


def test_ordinary_words_are_left_alone() -> None:
    text = "key m-01 of mission m-01: max_tokens=4096 tokens, basic checks, risk-averse, http://127.0.0.1:4222/a@b"

    assert Scrubber([SECRET]).value({"event": text, "tokens": "12", "key": "m-01"}) == {
        "event": text,
        "tokens": "12",
        "key": "m-01",
    }


def test_a_key_that_names_a_secret_hides_its_value() -> None:
    value = {"api_key": "a", "NATS_PASSWORD": "b", "headers": {"Authorization": "c", "Accept": "d"}}

    assert Scrubber(()).value(value) == {
        "api_key": SCRUBBED,
        "NATS_PASSWORD": SCRUBBED,
        "headers": {"Authorization": SCRUBBED, "Accept": "d"},
    }


def test_a_long_text_is_cut_after_it_was_scrubbed() -> None:
    text = "x" * 65_530 + SECRET + "y" * 100_000

    scrubbed = Scrubber([SECRET]).text(text)

    assert scrubbed.startswith("x" * 65_530 + SCRUBBED[:6] + "… [")
    assert len(scrubbed) < 65_600


@pytest.mark.parametrize(
    "piece", ["a.", "-----BEGIN A-----", "eyJ", "key", "sk-", "://", "bearer ", "token= "]
)
def test_a_hostile_text_is_scrubbed_in_bounded_time(piece: str) -> None:
    begun = time.process_time()

    Scrubber(()).text(piece * (200_000 // len(piece)))

    assert time.process_time() - begun < 1.0
