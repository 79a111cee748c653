"""`coo setup`: streams and consumers on a server, made once and checked without a change."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from acceptance.running import Company, running_company


@pytest.fixture(scope="module")
def company(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Company]:
    with running_company(tmp_path_factory.mktemp("setup")) as company:
        yield company


def test_repeating_it_finds_everything_as_expected(company: Company) -> None:
    done = company.coo("setup")
    assert done.returncode == 0
    lines = done.stdout.splitlines()
    assert len(lines) == 13
    assert lines[0] == "stream COO: as expected"
    assert all(line.endswith(": as expected") for line in lines)


def test_a_check_says_what_differs_and_changes_nothing(company: Company) -> None:
    other = {"COO_BUS__ACK_WAIT_S": "7"}
    for _ in range(2):
        done = company.coo("setup", "--check", env=other)
        assert done.returncode == 8
        assert "consumer budget: differs (ack_wait)" in done.stdout
        assert "10 of 13 differ" in done.stderr
    assert company.coo("setup", "--check").returncode == 0


def test_an_update_says_what_was_changed(company: Company) -> None:
    done = company.json("setup", env={"COO_BUS__ACK_WAIT_S": "7"})
    assert done["done"]["consumer budget"] == "updated (ack_wait)"
    assert done["done"]["stream COO"] == "as expected"
    assert company.coo("setup").returncode == 0


@pytest.mark.parametrize("args", [["setup"], ["setup", "--check"]])
def test_wrong_credentials_are_one_clear_error(company: Company, args: list[str]) -> None:
    done = company.coo(*args, env={"COO_ADMIN_PASSWORD": "wrong"})
    assert done.returncode == 6
    assert done.stdout == ""
    assert "refuses the credentials of admin" in done.stderr
    assert "COO_ADMIN_PASSWORD" in done.stderr
    assert "Traceback" not in done.stderr


def test_no_server_is_one_clear_error(company: Company) -> None:
    done = company.coo("setup", "--server", "nats://127.0.0.1:1")
    assert done.returncode == 6
    assert "Cannot reach NATS" in done.stderr
    assert "coo up" in done.stderr


def test_no_company_is_one_clear_error(company: Company, tmp_path_factory: pytest.TempPathFactory) -> None:
    nowhere = tmp_path_factory.mktemp("nowhere")
    done = company.coo("setup", "--data-dir", str(nowhere))
    assert done.returncode == 6
    assert f"No company is running on {nowhere}" in done.stderr
