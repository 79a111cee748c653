"""`kill -9` of real processes amid a mission: same end, same files, each attempt booked once."""

from __future__ import annotations

import random
import time
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest
from running import Company, in_loop, running_company, until

from actors import messages as m
from actors.cli.exits import Exit
from actors.table import TABLE
from bus.envelope import Stored
from bus.jetstream import connect

GOAL = "Build a CSV to JSON converter with tests"
NAMES = (*TABLE.processes, "nats-server")


def log_of(company: Company) -> list[Stored]:
    """Read the whole log back."""

    async def read() -> list[Stored]:
        ceo = await connect(company.run["url"], user="ceo", password=company.credentials["ceo"])
        found: list[Stored] = []
        try:
            while page := await ceo.read("COO", "coo.m.>", found[-1].seq + 1 if found else 1):
                found += page
        finally:
            await ceo.close()
        return found

    return in_loop(read)


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def done(company: Company, mission: str) -> dict[str, Any] | None:
    asked = company.coo("show", mission, "--json")
    if asked.returncode == Exit.UNREACHABLE:
        return None  # the server is just being started again
    assert asked.returncode == 0, asked.stderr
    shown = msgspec.json.decode(asked.stdout)
    assert shown["status"] not in ("failed", "cancelled", "paused_error", "paused_budget"), shown
    over = shown["status"] == "completed" and Decimal(shown["held_usd"]) == 0
    return shown if over else None


@pytest.fixture(scope="module")
def calm(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], dict[str, bytes]]:
    """A run that nobody disturbs: what it cost, and what it delivered."""
    folder = tmp_path_factory.mktemp("calm")
    with running_company(folder) as company:
        ended = company.coo(
            "mission", GOAL, "--budget", "1", "--id", "k", "--wait", "--out", str(folder / "out")
        )
        assert ended.returncode == 0, ended.stderr
        return company.json("show"), files_of(folder / "out")


def booked(log: list[Stored]) -> tuple[set[str], set[str], dict[str, int]]:
    """Return the attempts that were sent, those that were settled, and every attempt's hold."""
    sent, settled, held = set(), [], {}
    for stored in log:
        kind = stored.subject.split(".")[4]
        if kind == "sent":
            sent.add(msgspec.json.decode(stored.body, type=m.Sent).attempt)
        elif kind == "settle":
            settled.append(msgspec.json.decode(stored.body, type=m.Settle).attempt)
        elif kind == "granted":
            granted = msgspec.json.decode(stored.body, type=m.Granted)
            held[granted.attempt] = granted.microusd
    assert len(settled) == len(set(settled))
    return sent, set(settled), held


def check(company: Company, shown: dict[str, Any], calm_cost: str) -> None:
    """Money is that of a calm run plus the worst case of each attempt caught between sent and settle."""
    log = log_of(company)
    ids = [stored.headers["ce-id"] for stored in log]
    assert len(ids) == len(set(ids))
    sent, settled, held = booked(log)
    doubtful = sum(held[attempt] for attempt in sent - settled)
    assert Decimal(shown["spent_usd"]) * 1_000_000 == Decimal(calm_cost) * 1_000_000 + doubtful


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_processes_killed_at_random_moments_change_nothing_but_the_time(
    tmp_path: Path, calm: tuple[dict[str, Any], dict[str, bytes]], seed: int
) -> None:
    chance = random.Random(seed)
    cost, files = calm
    with running_company(tmp_path) as company:
        published = company.coo("mission", GOAL, "--budget", "1", "--id", "k")
        mission = published.stdout.strip()
        for name in chance.sample(NAMES, len(NAMES)):
            time.sleep(chance.uniform(0.0, 0.6))
            company.until_restarted(name, company.kill(name))
        shown = until(lambda: done(company, mission), timeout_s=120, what=f"{mission} completed")
        got = company.coo("artifacts", "get", mission, "--out", str(tmp_path / "out"))

        assert got.returncode == 0, got.stderr
        assert files_of(tmp_path / "out") == files
        check(company, shown, cost["spent_usd"])
        verified = company.coo("verify", "--all")
        assert verified.returncode == 0, verified.stdout + verified.stderr


@pytest.mark.slow
def test_two_processes_of_every_role_and_two_missions_write_each_letter_once(
    tmp_path: Path, calm: tuple[dict[str, Any], dict[str, bytes]]
) -> None:
    cost, files = calm
    with running_company(tmp_path, "--replicas", "2") as company:
        missions = [
            company.coo("mission", GOAL, "--budget", "1", "--id", key).stdout.strip() for key in ("k", "l")
        ]
        for mission in missions:
            shown = until(lambda mission=mission: done(company, mission), what=f"{mission} completed")
            assert shown["spent_usd"] == cost["spent_usd"]
            out = tmp_path / mission
            assert company.coo("artifacts", "get", mission, "--out", str(out)).returncode == 0
            assert files_of(out) == files
        ids = [stored.headers["ce-id"] for stored in log_of(company)]
        assert len(ids) == len(set(ids))
