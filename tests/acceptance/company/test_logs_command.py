"""`coo logs`: merged by time, filtered, followed, and safe to look at."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from acceptance.running import COO, Company, until


@pytest.fixture
def company(tmp_path: Path) -> Company:
    company = Company(tmp_path, simple=False)
    (company.data_dir / "logs").mkdir(parents=True)
    return company


def write(company: Company, actor: str, *lines: str | dict[str, object]) -> None:
    with (company.data_dir / "logs" / f"{actor}.jsonl").open("a") as file:
        for line in lines:
            text = line if isinstance(line, str) else json.dumps({"actor": actor, "level": "info"} | line)
            file.write(text + "\n")


def at(second: int, event: str, **more: object) -> dict[str, object]:
    return {"timestamp": f"2026-11-22T08:00:{second:02}.000000Z", "event": event, **more}


def events(company: Company, *args: str) -> list[str]:
    done = company.coo("logs", "--json", *args)
    assert done.returncode == 0, done.stderr
    return [json.loads(line)["event"] for line in done.stdout.splitlines()]


@pytest.fixture
def written(company: Company) -> Company:
    write(company, "qa", at(2, "b"), at(4, "d", level="warning", mission="m-1"))
    write(
        company, "engineer", at(1, "a"), at(3, "c", mission="m-2"), at(5, "e", level="error", mission="m-1")
    )
    write(company, "engineer-2", at(6, "f", actor="engineer"))
    return company


def test_lines_of_all_actors_are_merged_by_time(written: Company) -> None:
    assert events(written) == ["a", "b", "c", "d", "e", "f"]


def test_one_actor_is_all_its_processes(written: Company) -> None:
    assert events(written, "engineer") == ["a", "c", "e", "f"]
    assert events(written, "engineer-2") == ["f"]


def test_lines_are_chosen_by_level_and_mission(written: Company) -> None:
    assert events(written, "--level", "warning") == ["d", "e"]
    assert events(written, "--mission", "m-1") == ["d", "e"]
    assert events(written, "--mission", "m-", "--level", "info", "engineer") == ["c", "e"]


def test_an_unknown_actor_is_an_error_that_names_the_known(written: Company) -> None:
    done = written.coo("logs", "enginer")
    assert done.returncode == 7
    assert "No actor is called enginer" in done.stderr
    assert "engineer" in done.stderr.splitlines()[1]


def test_a_known_actor_without_a_line_is_no_error(written: Company) -> None:
    assert events(written, "clock") == []


def test_no_logs_at_all_say_how_to_get_some(company: Company) -> None:
    done = company.coo("logs")
    assert done.returncode == 7
    assert "coo up" in done.stderr


def test_a_traceback_stays_in_its_place(company: Company) -> None:
    write(company, "qa", at(1, "a"), "Traceback (most recent call last):", "ValueError: no")
    write(company, "coo", at(2, "b"))
    write(company, "qa", at(3, "c"))
    assert events(company) == ["a", "Traceback (most recent call last):", "ValueError: no", "b", "c"]
    assert events(company, "--level", "error") == ["Traceback (most recent call last):", "ValueError: no"]


def test_a_person_reads_lines_that_no_terminal_obeys(company: Company) -> None:
    write(company, "qa", at(1, "mail.refused", level="warning", reason="\x1b[2Jred alert", seq=7))
    assert company.coo("logs").stdout == (
        '08:00:01.000  qa           warning: mail.refused  reason="\\u001b[2Jred alert" seq=7\n'
    )


def test_the_servers_own_log_is_read_too(company: Company) -> None:
    write(company, "qa", at(1, "a"))
    log = company.data_dir / "logs" / "nats-server.log"
    log.write_text("[71] 2026/11/22 08:00:01.500000 [WRN] it is slow\nno line of its own\n")
    assert events(company, "nats-server") == ["it is slow", "no line of its own"]
    assert events(company, "nats-server", "--level", "warning") == ["it is slow"]


@pytest.fixture
def following(company: Company) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [*COO, "logs", "-f", "--json"],
        env=company.env,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    yield process
    process.kill()
    process.communicate()


def test_following_sees_new_lines_and_new_files(company: Company, following: subprocess.Popen[str]) -> None:
    assert following.stdout is not None
    write(company, "qa", at(1, "a"))
    assert json.loads(following.stdout.readline())["event"] == "a"
    write(company, "coo", at(2, "b"))
    assert json.loads(following.stdout.readline())["event"] == "b"
    with (company.data_dir / "logs" / "qa.jsonl").open("a") as file:
        file.write('{"event": ')
        file.flush()
        file.write('"c"}\n')
    assert json.loads(following.stdout.readline())["event"] == "c"
    following.send_signal(signal.SIGINT)
    assert following.wait(20) == 130


def test_a_file_that_was_emptied_is_read_from_its_start(
    company: Company, following: subprocess.Popen[str]
) -> None:
    assert following.stdout is not None
    log = company.data_dir / "logs" / "qa.jsonl"
    write(company, "qa", at(1, "a long line before"))
    assert json.loads(following.stdout.readline())["event"] == "a long line before"
    log.write_text("")
    until(lambda: log.stat().st_size == 0)
    write(company, "qa", {"event": "b"})
    assert json.loads(following.stdout.readline())["event"] == "b"
