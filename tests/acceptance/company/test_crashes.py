"""Processes of a running company that are killed: they run again, and one line says so."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from acceptance.running import ACTORS, Company, lives, running_company, until

from actors.host.nats.binary import find
from actors.host.nats.server import NatsServer


@pytest.fixture(scope="module")
def company(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Company]:
    with running_company(tmp_path_factory.mktemp("crashes")) as company:
        yield company


@pytest.mark.parametrize("actor", ["engineer", "budget"])
def test_a_killed_actor_runs_again(company: Company, actor: str) -> None:
    others = {name: pid for name, pid in company.pids.items() if name != actor}
    company.until_serving()
    died = company.kill(actor)
    pid = company.until_restarted(actor, died)
    company.until_serving()
    assert lives(pid)
    assert {name: pid for name, pid in company.pids.items() if name != actor} == others
    crash = until(lambda: company.happened("crashed", actor))[-1]
    assert (crash["pid"], crash["reason"]) == (died, "signal 9 (Killed)")
    assert until(lambda: company.happened("started", actor))[-1]["pid"] == pid


def test_a_killed_server_runs_again_where_it_was_and_the_actors_find_it(company: Company) -> None:
    company.until_serving()
    url = company.run["url"]
    actors = {name: company.pids[name] for name in ACTORS}
    died = company.kill("nats-server")
    pid = company.until_restarted("nats-server", died)
    assert lives(pid)
    assert company.run["url"] == url
    assert company.happened("crashed", "nats-server")[-1]["reason"] == "signal 9 (Killed)"
    company.until_serving()
    assert {name: company.pids[name] for name in ACTORS} == actors


def test_an_actor_that_cannot_work_is_given_up_and_the_start_fails_with_its_reason(tmp_path: Path) -> None:
    company = Company(tmp_path)
    with running_company(tmp_path / "first") as first:
        foreign = {
            "COO_ADMIN_PASSWORD": first.credentials["admin"],
            "COO_CEO_PASSWORD": first.credentials["ceo"],
        }
        env = foreign | {f"COO_{actor.upper()}_PASSWORD": first.credentials[actor] for actor in ACTORS}
        done = company.coo("up", "--server", first.url, env=env | {"COO_QA_PASSWORD": "wrong"})
        assert done.returncode == 6
        assert "qa does not start: exit code 78" in done.stderr
        assert "coo logs qa" in done.stderr
        assert "refuses the credentials of qa" in company.coo("logs", "qa").stdout


def test_a_company_on_somebody_elses_server(tmp_path: Path) -> None:
    with running_company(tmp_path / "first") as first:
        env = {f"COO_{name.upper()}_PASSWORD": secret for name, secret in first.credentials.items()}
        with running_company(tmp_path / "second", "--server", first.url, env=env) as second:
            assert second.ready["server"] is None
            assert second.ready["url"] == first.url
            assert len(second.children()) == len(ACTORS)
            assert second.stop() == 0
        assert all(lives(pid) for pid in first.pids.values())


async def test_a_server_without_credentials_is_used_and_that_is_said(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    conf = tmp_path / "nats.conf"
    conf.write_text("jetstream { store_dir: $COO_NATS_STORE }\n")
    async with NatsServer(find(None), conf, tmp_path / "store", tmp_path / "run", "auto", {}) as server:
        with running_company(tmp_path, "--server", server.url) as company:
            assert company.stop() == 0
            assert any("authority: not enforced" in line for line in company.said)


def test_an_actor_that_ends_unasked_runs_again_too(company: Company) -> None:
    company.until_serving()
    died = company.kill("clock", signal.SIGTERM)
    company.until_restarted("clock", died)
    assert until(lambda: company.happened("crashed", "clock"))[-1]["returncode"] == 0
    assert not [line for line in company.said if "Traceback" in line]
