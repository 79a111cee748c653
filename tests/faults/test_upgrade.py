"""Old and new version side by side on a real server, amid missions: the old one makes way."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from newer import newer
from running import Company, running_company, until
from test_kills import GOAL, done, files_of, log_of

from actors.performers.proofs import PERFORMERS
from actors.table import TABLE
from bus.jetstream import connect
from bus.loops.releases import announce
from bus.server.authority import variable
from bus.table import OPERATOR
from bus.verify import verify

ROLES = ("coo", "engineer", "qa", "budget", "approval")
MISSIONS = 3


async def announced(company: Company) -> None:
    """Announce the next version, as the `coo up` of it would."""
    operator = await connect(company.url, user=OPERATOR, password=company.credentials[OPERATOR])
    await announce(operator, TABLE, map(newer, ROLES))
    await operator.close()


@contextmanager
def next_version(company: Company) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Run one process of the next version for every role, beside those of the company."""
    argv = [sys.executable, str(Path(__file__).parent / "newer.py")]
    asyncio.run(announced(company))
    running = [
        subprocess.Popen(
            [*argv, name, company.url], env={**company.env, variable(name): company.credentials[name]}
        )
        for name in ROLES
    ]
    try:
        yield running
    finally:
        for process in running:
            process.terminate()
        for process in running:
            process.wait(30)


def given(company: Company, number: int) -> str:
    return company.coo("mission", GOAL, "--budget", "1", "--id", str(number)).stdout.strip()


@pytest.mark.slow
def test_a_new_version_takes_over_amid_missions_and_the_old_one_ends(tmp_path: Path) -> None:
    env = {"COO_BUS__CHECKPOINT_EVERY": "16"}
    with running_company(tmp_path, env=env) as company:
        missions = [given(company, n) for n in range(MISSIONS)]
        with next_version(company) as running:
            missions += [given(company, n) for n in range(MISSIONS, 2 * MISSIONS)]
            shown = [
                until(lambda name=name: done(company, name), timeout_s=120, what=f"{name} completed")
                for name in missions
            ]
            assert [process.poll() for process in running] == [None] * len(running)
            assert company.happened("gave_up", "budget")  # its only key was taken over
            reasons = [event["reason"] for event in company.events if event["event"] == "gave_up"]
            assert all("exit code 78" in reason for reason in reasons)
            assert len({one["spent_usd"] for one in shown}) == 1
            got = []
            for name in missions:
                out = tmp_path / name
                assert company.coo("artifacts", "get", name, "--out", str(out)).returncode == 0
                got.append(files_of(out))
            assert all(files == got[0] != {} for files in got)
            log = log_of(company)
    ids = [stored.headers["ce-id"] for stored in log]
    assert len(ids) == len(set(ids))
    versions = {stored.headers.get("coo-version") for stored in log if stored.subject.endswith(".budget")}
    assert len(versions - {None}) == 2  # both have decided
    report = verify(log, TABLE, {name: newer(name) for name in ROLES}, lambda ref: b"", PERFORMERS)
    assert report.findings == ()
