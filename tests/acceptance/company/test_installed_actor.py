"""An actor of a package of its own: one of the company once installed, with its own rights and no more."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from running import Company, in_loop, running_company, until

from bus.envelope import Outgoing, base_headers
from bus.errors import BusError
from bus.jetstream import connect
from bus.server.authority import grants
from bus.subjects import MAIL_STREAM

POET = """\
import msgspec
from actors.cast import Actor
from bus import Letter, Mailbox, Role, Row, Step


class Wish(msgspec.Struct, frozen=True):
    about: str


class Verse(msgspec.Struct, frozen=True):
    text: str


class Desk(msgspec.Struct, frozen=True):
    verses: int = 0


def handle(desk, mail):
    verse = Verse(f"Verse {desk.verses + 1}: {mail.message.about} is blue.")
    return Step(Desk(desk.verses + 1), [Letter(to="ceo", message=verse)])


ROLE = Role(name="poet", version=1, state=Desk, handle=handle)
POET = Actor(
    name="poet",
    mailboxes=(Mailbox(name="poet", process="poet", served_by="poet:ROLE"),),
    rows=(
        Row(kind="wish", sender="ceo", to="poet", message=Wish),
        Row(kind="verse", sender="poet", to="ceo", message=Verse),
    ),
)
"""
PROJECT = """\
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"
[project]
name = "a-poet"
version = "1.0"
[project.entry-points."coo.actors"]
poet = "poet:POET"
[tool.hatch.build.targets.wheel]
include = ["poet.py"]
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install the package where only this test's companies look."""
    source, target = tmp_path_factory.mktemp("poet"), tmp_path_factory.mktemp("target") / "site-packages"
    (source / "poet.py").write_text(POET)
    (source / "pyproject.toml").write_text(PROJECT)
    pip = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-build-isolation"]
    subprocess.run([*pip, "--target", str(target), str(source)], check=True, capture_output=True)
    return target


@pytest.fixture
def company(tmp_path: Path, installed: Path) -> Iterator[Company]:
    with running_company(tmp_path, env={"PYTHONPATH": str(installed)}) as running:
        yield running


def wish(company: Company, about: str) -> str:
    """Write to the poet as the CEO, and return what it answers."""

    async def ask() -> str:
        ceo = await connect(company.url, user="ceo", password=company.credentials["ceo"])
        try:
            headers = base_headers(f"wish-{about}", "ceo", "wish", ceo.now_ns())
            body = json.dumps({"about": about}).encode()
            await ceo.publish(Outgoing("coo.m.poem-1.poet.wish.ceo", headers, body))
            while True:
                found = await ceo.last(MAIL_STREAM, "coo.m.poem-1.ceo.verse.poet")
                if found is not None and about in (text := json.loads(found.body)["text"]):
                    return str(text)
                await asyncio.sleep(0.05)
        finally:
            await ceo.close()

    return in_loop(ask)


def refused(company: Company, subjects: list[str]) -> list[str]:
    """Publish to each subject as the poet, and return those that the server refuses."""

    async def attempt() -> list[str]:
        poet = await connect(company.url, user="poet", password=company.credentials["poet"])
        found = []
        for subject in subjects:
            try:
                await poet.publish(Outgoing(subject, {"Nats-Msg-Id": subject}, b"{}"))
            except BusError:
                found.append(subject)
        await poet.close()
        return found

    return in_loop(attempt)


def test_an_installed_actor_is_one_of_the_company(company: Company) -> None:
    assert wish(company, "violet") == "Verse 1: violet is blue."

    pid = company.kill("poet")
    company.until_restarted("poet", pid)
    assert wish(company, "sky") == "Verse 2: sky is blue."

    own = ["coo.m.poem-1.ceo.verse.poet", "coo.m.poem-1.ceo.error.poet"]
    others = ["coo.m.m-1.budget.raise.approval", "coo.m.m-1.ceo.status.coo", "coo.m.m-1.budget.raise.poet"]
    others += ["coo.m.m-1.coo.error.poet", "coo.m.m-1.poet.wish.ceo", "coo.m.m-1.clock.wake.poet"]
    assert refused(company, others) == others
    verified = company.coo("verify", "--all")
    assert verified.returncode == 0, verified.stderr
    assert refused(company, own) == []
    forged = company.coo("verify", "--all")
    assert (forged.returncode, "coo.m.poem-1.ceo." in forged.stderr) == (3, True)


def test_no_package_s_code_runs_in_our_own_actors(company: Company, installed: Path) -> None:
    for name, pid in company.run["actors"].items():
        environ = psutil.Process(pid).environ()
        assert ("PYTHONPATH" in environ) == (name == "poet"), name


def test_an_actor_that_no_package_names_is_added_by_an_option(tmp_path: Path) -> None:
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "poet.py").write_text(POET)
    env = {"PYTHONPATH": str(tmp_path / "own")}
    with running_company(tmp_path, "--actors", "poet:POET", env=env) as company:
        assert wish(company, "violet") == "Verse 1: violet is blue."
        unknown = company.coo("up", "--port", "auto", "--actors", "poet:NOBODY")
    assert unknown.returncode == 2
    assert "The actor poet:NOBODY cannot be added" in unknown.stderr


def test_it_is_told_of_like_every_other(company: Company) -> None:
    done = company.coo("mission", "Write fizzbuzz", "--budget", "1.00", "--wait")
    assert done.returncode == 0, done.stderr
    logged = company.coo("logs", "poet")
    assert logged.returncode == 0, logged.stderr
    assert "actor.started" in logged.stdout
    listed = subprocess.run(
        [sys.executable, "-m", "actors.process.main", "list"],
        env={**os.environ, "PYTHONPATH": company.env["PYTHONPATH"]},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "poet       poet            sends" in listed.stdout
    assert until(lambda: company.waiting()["coo"], what="the company serves")


def test_what_an_actor_of_a_package_may_publish_is_its_own() -> None:
    from actors.cast import Actor, with_actors
    from actors.table import TABLE
    from bus.table import Checkpoint, Mailbox, Row

    row = Row(kind="verse", sender="poet", to="ceo", message=type("Verse", (Checkpoint,), {}))
    mailbox = Mailbox(name="poet", process="poet", served_by="poet:ROLE")
    table = with_actors(TABLE, [("here", Actor(name="poet", mailboxes=(mailbox,), rows=(row,)))])

    granted: list[Any] = [s for s in grants(table, "poet").all if s.startswith("coo.m.")]
    assert granted == [
        "coo.m.*.ceo.verse.poet",
        "coo.m.*.ceo.error.poet",
        "coo.m.*.poet.checkpoint.poet",
    ]
