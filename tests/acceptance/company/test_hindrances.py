"""What is gone from the server, or full there, is said at once, and everybody goes on after it."""

from __future__ import annotations

import hashlib
import os
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import Any

from acceptance.running import COO, Company, in_loop, running_company, until

from actors.host.nats.binary import find
from actors.host.nats.server import NatsServer
from actors.table import TABLE
from bus import subjects
from bus.blobs import CHUNK_BYTES
from bus.envelope import Outgoing
from bus.errors import StoreRefused
from bus.jetstream import connect

REMOVED = ("coo", "model-engineer", "clock")
"""A role's, a performer's in a role's process, and the one that folds as a performer."""

QUIET = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}


def ask(company: Company, subject: str) -> dict[str, Any]:
    async def asked() -> dict[str, Any]:
        admin = await connect(company.url, user="admin", password=company.credentials["admin"])
        try:
            return await admin.api(subject, {})
        finally:
            await admin.close()

    return in_loop(asked)


def test_whatever_consumer_is_removed_setup_makes_it_again_and_its_actor_goes_on(tmp_path: Path) -> None:
    with running_company(tmp_path) as company:
        assert company.coo("mission", "Write fizzbuzz", "--budget", "1", "--wait").returncode == 0
        for mailbox in map(TABLE.mailbox, REMOVED):
            seen = len(company.happened("stuck", mailbox.process))
            back = len(company.happened("started", mailbox.process))
            assert ask(company, f"$JS.API.CONSUMER.DELETE.COO.{mailbox.name}")["success"]
            stuck = until(
                lambda name=mailbox.process, seen=seen: company.happened("stuck", name)[seen:],
                what=f"{mailbox.process} says that {mailbox.name} is gone",
            )
            assert f"the consumer {mailbox.name} is gone" in stuck[0]["reason"]
            assert "coo setup" in stuck[0]["reason"]
            made = company.coo("setup")
            assert f"consumer {mailbox.name}: created" in made.stdout, made.stdout + made.stderr
            until(
                lambda name=mailbox.process, back=back: company.happened("started", name)[back:],
                what=f"{mailbox.process} runs again",
            )
        company.until_serving()
        done = company.coo("mission", "Write fizzbuzz", "--budget", "1", "--wait")
        assert done.returncode == 0, done.stderr
        assert not [event for event in company.events if event["event"] == "gave_up"]
        assert company.coo("verify", "--all").returncode == 0
        assert company.coo("audit").returncode == 0


async def fill(url: str) -> None:
    """Use up what files may take; what is left then is the mail's."""
    carrier = await connect(url)
    with suppress(StoreRefused):
        for n in range(100):
            content = os.urandom(CHUNK_BYTES)
            subject = subjects.blob_chunk("ceo", hashlib.sha256(content).hexdigest(), 0)
            await carrier.publish(Outgoing(subject, {}, content))
            assert n < 99
    await carrier.close()


def until_full(company: Company) -> None:
    """Give missions until somebody says that the store takes no more."""
    n = 0
    while not company.happened("stuck", "store"):
        n += 1
        words = ["mission", "Write fizzbuzz", "--budget", "1", "--id", f"m{n}"]
        giving = subprocess.Popen([*COO, *words], env=company.env, **QUIET)
        until(lambda giving=giving: giving.poll() is not None or company.happened("stuck", "store"))
        giving.kill()
        giving.wait()


async def test_a_store_that_is_full_is_said_at_once_and_what_waits_goes_on_with_room(tmp_path: Path) -> None:
    conf = tmp_path / "nats.conf"
    text = "jetstream { store_dir: $COO_NATS_STORE, max_file_store: %s }\n"
    conf.write_text(text % "8MB")
    (tmp_path / "theirs").mkdir()
    async with NatsServer(find(None), conf, tmp_path / "store", tmp_path / "theirs", "auto", {}) as server:
        with running_company(tmp_path, env={"NATS_URL": server.url}) as company:
            await fill(server.url)
            until_full(company)
            stuck = company.happened("stuck", "store")
            assert "max_file_store" in stuck[0]["reason"]
            conf.write_text(text % "64MB")
            await server.restart()
            until(lambda: company.happened("started", "store"), what="it takes messages again")
            done = company.coo("mission", "Write fizzbuzz", "--budget", "1", "--wait")
            assert done.returncode == 0, done.stderr
            assert company.coo("verify", "--all").returncode == 0
