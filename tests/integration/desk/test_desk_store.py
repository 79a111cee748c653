"""A store that takes no more, and a server that does not answer: said at once, never repeated in silence."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import structlog
from structlog.testing import capture_logs

from actors.host.datadir import DataDir
from actors.host.nats.conf import CONF
from actors.host.nats.server import NatsServer, find
from actors.process import logs as log
from actors.table import TABLE
from bus import blobs, subjects
from bus.dataref import MAX_BODY_BYTES
from bus.envelope import Outgoing
from bus.errors import PublishRefused, StoreRefused
from bus.loops.publisher import publish_surely
from bus.server import setup
from bus.server.authority import principals, variable
from bus.server.topology import topology
from tests.conftest import Nats


def conf(path: Path, limit: str) -> None:
    """Write the project's configuration with another bound of the store, and none of the memory."""
    text = CONF.read_text()
    assert "max_file_store: 8GB" in text
    path.write_text(text.replace("max_file_store: 8GB", f"max_file_store: {limit}"))


@pytest.fixture(autouse=True)
def logs_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Undo what an earlier test in this process has set up of logging; a logger may remember it."""
    structlog.reset_defaults()
    monkeypatch.setattr("bus.acked.log", structlog.get_logger("bus"))


@pytest.fixture
async def nats(tmp_path: Path) -> AsyncIterator[Nats]:
    """A server whose store holds 8 MB, most of it for files, with the company's streams."""
    conf(tmp_path / "small.conf", "8MB")
    data_dir = DataDir(tmp_path / "company")
    data_dir.create()
    passwords = data_dir.credentials(principals(TABLE))
    env = {variable(name): password for name, password in passwords.items()}
    small = tmp_path / "small.conf"
    async with NatsServer(find(None), small, data_dir.nats, data_dir.run, "auto", env) as server:
        nats = Nats(server, passwords)
        async with nats._stack:
            await setup.apply(await nats.connect("admin"), topology(TABLE, ack_wait_s=2.0))
            yield nats


async def fill(nats: Nats) -> None:
    """Let the store's room for mail be used up: files have bounds of their own and cannot do that."""
    ceo = await nats.connect("ceo")
    size, n = MAX_BODY_BYTES, 0
    while size:
        n += 1
        message = Outgoing(subjects.mail(f"fill-{n}", "coo", "control", "ceo"), {}, b"x" * size)
        try:
            await ceo.publish(message)
        except StoreRefused:
            size //= 2


async def test_every_word_of_the_ceo_is_refused_at_once_by_a_full_store(desk: Any, nats: Nats) -> None:
    name = (await desk("mission", "Say hello", "--budget", "1")).out.strip()
    await fill(nats)
    for command in (
        ("mission", "Say hello", "--budget", "1"),
        ("mission", "Say hello", "--budget", "1", "--wait", "--timeout", "20s"),
        ("cancel", name),
        ("budget", "set", "--daily", "5"),
    ):
        said = await desk(*command)
        assert said.code == 11, (command, said)
        assert "no room for another message: insufficient resources" in said.err
        assert "max_file_store" in said.err
        assert "Traceback" not in said.err
    assert (await desk("show", name)).code == 0


async def test_an_actor_waits_for_room_and_says_so_and_then_goes_on(nats: Nats, tmp_path: Path) -> None:
    await fill(nats)
    carrier = await nats.connect("ceo")
    message = Outgoing("coo.m.m-1.coo.control.ceo", {"Nats-Msg-Id": "a"}, b"{}")
    with capture_logs() as logs:
        waiting = asyncio.create_task(publish_surely(carrier, message))
        blob = asyncio.create_task(blobs.put(carrier, "ceo", b"y" * 1000))
        async with asyncio.timeout(20):
            while not logs:
                await asyncio.sleep(0.05)
        assert not waiting.done()
        assert {one["event"] for one in logs} == {"store.refused"}
        assert "insufficient resources" in logs[0]["error"]
        conf(tmp_path / "small.conf", "8GB")
        await nats.server.restart()
        assert await asyncio.wait_for(waiting, 30) > 0
        await asyncio.wait_for(blob, 30)
    assert len([one for one in logs if one["event"] == "store.refused"]) == 1  # once a minute, not each time


async def test_a_time_out_bounds_publishing_too(desk: Any, nats: Nats) -> None:
    """A stream without acks stores a message and never says so: the outcome stays unknown for ever."""
    admin = await nats.connect("admin")
    info = await admin.api("$JS.API.STREAM.INFO.COO", {})
    assert "error" not in await admin.api("$JS.API.STREAM.UPDATE.COO", {**info["config"], "no_ack": True})
    said = await desk("mission", "Say hello", "--budget", "1", "--wait", "--timeout", "2s")
    assert (said.code, said.out) == (9, "")
    assert "may have been published, or not" in said.err
    assert "coo show m-" in said.err


async def test_an_unanswered_publish_is_not_repeated_in_silence(nats: Nats) -> None:
    admin, ceo = await nats.connect("admin"), await nats.connect("ceo")
    info = await admin.api("$JS.API.STREAM.INFO.COO", {})
    await admin.api("$JS.API.STREAM.UPDATE.COO", {**info["config"], "no_ack": True})
    message = Outgoing("coo.m.m-1.coo.control.ceo", {"Nats-Msg-Id": "a"}, b"{}")
    with capture_logs() as logs:
        waiting = asyncio.create_task(publish_surely(ceo, message))
        async with asyncio.timeout(30):
            while not logs:
                await asyncio.sleep(0.05)
        waiting.cancel()
    assert logs[0]["event"] == "publish.unanswered"
    assert "coo.m.m-1.coo.control.ceo" in logs[0]["subject"]


@pytest.mark.parametrize("url", ["nats://127.0.0.1:99999", "nats://h:abc", "nats://", "tls://1:2:3"])
async def test_an_address_that_is_none_is_a_usage_error(desk: Any, url: str) -> None:
    for command in (("ls", "--server", url), ("mission", "Say hello", "--budget", "1", "--server", url)):
        said = await desk(*command)
        assert said.code == 2
        assert "is not the address of a NATS server" in said.err


async def test_a_message_that_the_server_never_takes_is_not_repeated(desk: Any, nats: Nats) -> None:
    """A sealed stream, and a subject that is none: repeating would not help, so it is said at once."""
    admin, ceo = await nats.connect("admin"), await nats.connect("ceo")
    for subject in ("coo.m. .coo.control.ceo", ""):
        with pytest.raises(PublishRefused):
            await publish_surely(ceo, Outgoing(subject, {"Nats-Msg-Id": "a"}, b"{}"))
    with pytest.raises(PublishRefused, match="payload"):
        await publish_surely(ceo, Outgoing("coo.m.m-1.coo.control.ceo", {"Nats-Msg-Id": "b"}, b"x" * 2**21))
    info = await admin.api("$JS.API.STREAM.INFO.COO", {})
    config = {name: value for name, value in info["config"].items() if name != "republish"}
    assert "error" not in await admin.api("$JS.API.STREAM.UPDATE.COO", {**config, "sealed": True})
    said = await desk("mission", "Say hello", "--budget", "1")
    assert said.code == 6
    assert "sealed" in said.err
    assert "coo setup --check" in said.err


async def test_whoever_follows_a_mission_is_told_why_nothing_is_written(
    desk: Any, nats: Nats, tmp_path: Path
) -> None:
    name = (await desk("mission", "Say hello", "--budget", "1")).out.strip()
    await fill(nats)
    log.configure(
        "coo", file=tmp_path / "company" / "logs" / "coo.jsonl", console=False, level="info", secrets=()
    )
    carrier = await nats.connect("ceo")
    message = Outgoing(f"coo.m.{name}.coo.control.ceo", {"Nats-Msg-Id": "a"}, b"{}")
    waiting = asyncio.create_task(publish_surely(carrier, message))  # as an actor would
    try:
        said = await desk("follow", name, "--timeout", "20s")
    finally:
        waiting.cancel()
        log.configure("test", file=None, console=False, level="info", secrets=())
    assert said.code == 9
    assert "coo cannot write: the server's store takes no more: insufficient resources (10023)" in said.err
