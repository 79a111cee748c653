"""A company started where stdout, the time zone, the address and the environment are not what one expects."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from acceptance.running import COO, Company, running_company

PATIENCE_S = 300.0


@pytest.fixture
def company(tmp_path: Path) -> Iterator[Company]:
    company = Company(tmp_path)
    yield company
    company.coo("down", "--now", timeout_s=PATIENCE_S)
    company.close()


def typed(company: Company, *words: str, streams: str = "", **env: str) -> tuple[int, bytes]:
    """Type a command with its streams redirected by a shell; return its exit code and what it printed."""
    script = ["bash", "-c", f'"$@" {streams}', "-", *COO, *words]
    done = subprocess.run(
        script,
        env={**company.env, **env},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=PATIENCE_S,
        check=False,
    )
    return done.returncode, done.stdout


@pytest.mark.parametrize("encoding", ["latin-1", "ascii"])
def test_a_company_and_the_demo_run_where_stdout_is_not_utf_8(company: Company, encoding: str) -> None:
    code, shown = typed(company, "up", "-d", "--port", "auto", PYTHONIOENCODING=encoding)
    assert (code, b"Traceback" in shown) == (0, False)
    assert b"scripted ? answers are canned" in shown
    assert typed(company, "down") == (0, b"stopped\n")
    code, shown = typed(company, "demo", PYTHONIOENCODING=encoding)
    assert (code, b"Traceback" in shown) == (0, False)
    assert b"? completed" in shown


@pytest.mark.parametrize(("streams", "code"), [(">&-", 0), ("<&- >&- 2>&-", 0), (">/dev/full", 10)])
def test_a_company_and_its_missions_work_without_a_stdout(company: Company, streams: str, code: int) -> None:
    order = ("mission", "Write fizzbuzz", "--budget", "1.00", "--wait")
    for words in (("up", "-d", "--port", "auto"), order, ("follow",)):
        assert typed(company, *words, streams=streams)[0] == code
    assert b"completed" in typed(company, "ls")[1]
    assert typed(company, "mission", "-", "--budget", "1.00", streams=streams)[0] == 2  # no goal on stdin


def test_the_servers_log_is_read_in_any_time_zone(company: Company) -> None:
    """It was written in the zone of the machine and read in that of the reader."""
    begun = datetime.now(UTC) - timedelta(seconds=1)
    assert typed(company, "up", "-d", "--port", "auto", TZ="ELSEWHERE+5")[0] == 0
    for zone in ("HERE+9:30", "THERE-12", "UTC"):
        _, shown = typed(company, "logs", "nats-server", "--json", TZ=zone)
        first = datetime.fromisoformat(json.loads(shown.splitlines()[0])["timestamp"])
        assert begun < first < datetime.now(UTC)


def test_the_banner_says_the_limits_in_force_and_not_those_of_the_settings(tmp_path: Path) -> None:
    with running_company(tmp_path) as company:
        assert company.ready["durability"] == "synced"
        assert company.coo("budget", "set", "--daily", "7").returncode == 0
        company.stop()
        assert company.start()["limits"]["daily_usd"] == "7.00"


def test_no_secret_is_logged_or_told_by_any_command(tmp_path: Path) -> None:
    """Debugging shows all that is logged; a password may stand in the address, the environment, the data."""
    word = "pa55word-very-secret"
    with running_company(tmp_path) as company:
        secrets = {word, *company.credentials.values()}
        closed = f"nats://somebody:{word}@127.0.0.1:9"
        wrong = company.url.replace("nats://", f"nats://somebody:{word}@")
        env = {"COO_DEBUG": "1", "NATS_PASSWORD": word, "COO_QA_PASSWORD": word}
        for words in (
            ("ls",),
            ("setup",),
            ("ls", "--server", closed),
            ("ls", "--server", closed, "--json"),
            ("ls", "--server", wrong),
            ("ls", "--server", closed.replace(":9", ":99999")),
            ("up", "--server", closed, "--data-dir", str(tmp_path / "other")),
            ("mission", "Write fizzbuzz", "--budget", "1", "--wait"),
        ):
            done = company.coo(*words, env={"NATS_URL": company.url, **env}, timeout_s=PATIENCE_S)
            assert [secret for secret in secrets if secret in done.stdout + done.stderr] == [], words
        logs = "".join(path.read_text() for path in (company.data_dir / "logs").iterdir())
        assert [secret for secret in secrets if secret in logs] == []
