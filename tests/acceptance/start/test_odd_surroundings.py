"""A company started where stdout, the time zone, the address and the environment are not what one expects."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from acceptance.running import COO, Company, running_company


@pytest.fixture
def company(tmp_path: Path) -> Iterator[Company]:
    company = Company(tmp_path)
    yield company
    company.coo("down", "--now")
    company.close()


@pytest.mark.parametrize("encoding", ["latin-1", "ascii"])
def test_a_company_starts_where_stdout_is_not_utf_8(company: Company, encoding: str) -> None:
    done = company.coo("up", "-d", "--port", "auto", env={"PYTHONIOENCODING": encoding})
    assert (done.returncode, "Traceback" in done.stderr) == (0, False)
    assert "scripted ? answers are canned" in done.stdout
    assert company.coo("down").stdout == "stopped\n"


@pytest.mark.parametrize("encoding", ["latin-1", "ascii"])
def test_the_demo_runs_where_stdout_is_not_utf_8(tmp_path: Path, encoding: str) -> None:
    done = Company(tmp_path).coo("demo", env={"PYTHONIOENCODING": encoding})
    assert done.returncode == 0, done.stderr
    assert "? completed" in done.stdout
    assert done.stdout.endswith("its data removed.\n")


@pytest.mark.parametrize(("streams", "code"), [(">&-", 0), ("<&- >&- 2>&-", 0), (">/dev/full", 10)])
def test_a_company_and_its_missions_work_without_a_stdout(company: Company, streams: str, code: int) -> None:
    def typed(*words: str) -> int:
        script = ["bash", "-c", f'"$@" {streams}', "-", *COO, *words]
        return subprocess.run(script, env=company.env, stdin=subprocess.DEVNULL, check=False).returncode

    assert typed("up", "-d", "--port", "auto") == code
    assert typed("mission", "Write fizzbuzz", "--budget", "1.00", "--id", "k", "--wait") == code
    (mission,) = company.json("ls")
    assert mission["status"] == "completed"
    assert typed("follow") == code
    assert typed("mission", "-", "--budget", "1.00") == 2  # nothing on stdin: no goal


@pytest.mark.parametrize("zone", ["HERE+9:30", "THERE-12", "UTC"])
def test_the_servers_log_is_read_in_any_time_zone(company: Company, zone: str) -> None:
    begun = datetime.now(UTC)
    assert company.coo("up", "-d", "--port", "auto", env={"TZ": "ELSEWHERE+5"}).returncode == 0
    done = company.coo("logs", "nats-server", "--json", env={"TZ": zone})
    first = datetime.fromisoformat(json.loads(done.stdout.splitlines()[0])["timestamp"])
    assert (
        begun
        <= first.astimezone(UTC).replace(microsecond=999_999)
        <= datetime.now(UTC).replace(microsecond=999_999)
    )


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
            done = company.coo(*words, env={"NATS_URL": company.url, **env})
            assert [secret for secret in secrets if secret in done.stdout + done.stderr] == [], words
        logs = "".join(path.read_text() for path in (company.data_dir / "logs").iterdir())
        assert [secret for secret in secrets if secret in logs] == []
