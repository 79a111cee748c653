"""NATS_URL: a server that is not ours, with our accounts in it, with other credentials, with none."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from acceptance.running import Company, running_company

from actors.host.nats.binary import find
from actors.host.nats.server import NatsServer
from actors.table import TABLE
from bus.server.authority import principals, variable

OPEN = "jetstream { store_dir: $COO_NATS_STORE }\n"
ONE_USER = OPEN + 'authorization { user: all, password: "open sesame" }\n'


@asynccontextmanager
async def server(folder: Path, conf: str, env: Mapping[str, str] = {}) -> AsyncIterator[str]:
    """Run somebody else's nats-server and give its URL."""
    (folder / "theirs").mkdir(parents=True)
    file = folder / "theirs" / "nats.conf"
    file.write_text(conf)
    async with NatsServer(find(None), file, folder / "store", folder / "theirs", "auto", env) as running:
        yield running.url


@pytest.fixture
async def open_server(tmp_path: Path) -> AsyncIterator[str]:
    async with server(tmp_path, OPEN) as url:
        yield url


async def test_without_accounts_every_surface_says_that_authority_is_not_enforced(
    open_server: str, tmp_path: Path
) -> None:
    words = "authority: not enforced"
    with running_company(tmp_path, env={"NATS_URL": open_server}) as company:
        assert (company.ready["authority"], company.ready["server"]) == ("not enforced", None)
        assert company.ready["url"] == open_server
        assert company.ready["durability"] == "unknown"
        given = company.coo(
            "mission", "Write fizzbuzz", "--budget", "1", "--approve", "release", "--wait", "--json"
        )
        assert given.returncode == 4, given.stderr
        assert words in given.stderr
        assert given.stdout.count('"authority": "not enforced"') == 2
        for command in ("ls", "show", "follow"):
            assert words in company.coo(command).stderr
        mission = company.json("ls")[0]["id"]
        assert company.json("show", mission)["authority"] == "not enforced"

        refused = company.coo("approve", mission)
        assert refused.returncode == 6
        assert "--accept-no-authority" in refused.stderr
        assert "coo setup --print-conf" in refused.stderr
        assert company.json("show", mission)["status"] == "paused_approval"
        assert company.coo("approve", mission, "--accept-no-authority").returncode == 0
        assert company.coo("follow", mission).returncode == 0
        assert company.stop() == 0
        assert any(words in line for line in company.said)


async def test_a_login_that_everybody_shares_works_and_enforces_nothing(tmp_path: Path) -> None:
    async with server(tmp_path, ONE_USER) as url:
        env = {"NATS_URL": url, "NATS_USER": "all", "NATS_PASSWORD": "open sesame"}
        with running_company(tmp_path, env=env) as company:
            assert company.ready["authority"] == "not enforced"
            done = company.coo("mission", "Write fizzbuzz", "--budget", "1", "--wait")
            assert done.returncode == 0, done.stderr


async def test_a_wrong_login_is_one_clear_error(tmp_path: Path) -> None:
    async with server(tmp_path, ONE_USER) as url:
        company = Company(tmp_path)
        for env in ({"NATS_URL": url}, {"NATS_URL": url, "NATS_USER": "all", "NATS_PASSWORD": "x"}):
            done = company.coo("up", env=env)
            assert done.returncode == 6
            assert "refuses the credentials" in done.stderr
            assert "Traceback" not in done.stderr


async def test_the_printed_accounts_enforce_authority_on_any_server(tmp_path: Path) -> None:
    printed = Company(tmp_path).coo("setup", "--print-conf")
    assert printed.returncode == 0
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / "coo-accounts.conf").write_text(printed.stdout)
    env = {variable(name): "p" + secrets.token_hex(16) for name in principals(TABLE)}
    assert all(name in printed.stdout for name in env)
    (tmp_path / "theirs" / "x").mkdir()
    async with server(tmp_path / "theirs" / "x", _including(tmp_path), env) as url:
        with running_company(tmp_path, env={"NATS_URL": url, **env}) as company:
            assert company.ready["authority"] == "enforced"
            given = company.coo(
                "mission", "Write fizzbuzz", "--budget", "1", "--approve", "release", "--wait"
            )
            assert given.returncode == 4, given.stderr
            assert "not enforced" not in given.stderr
            assert company.coo("approve", given.stdout.split()[0]).returncode == 0


def _including(folder: Path) -> str:
    return OPEN + f'include "{"../" * 2}coo-accounts.conf"\n'


async def test_passwords_alone_are_not_taken_for_authority(tmp_path: Path) -> None:
    """Everybody has a login of their own there, but may write what they like."""
    names = principals(TABLE)
    users = "\n".join(f'    {{user: {name}, password: "secret-{name}"}}' for name in names)
    async with server(tmp_path, f"{OPEN}authorization {{ users: [\n{users}\n] }}\n") as url:
        env = {variable(name): f"secret-{name}" for name in names}
        with running_company(tmp_path, env={"NATS_URL": url, **env}) as company:
            assert company.ready["authority"] == "not enforced"
            assert "authority: not enforced" in company.coo("ls").stderr
