"""What somebody who has taken the engineer's login takes of the server: a share, and the others go on."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import os
from typing import Any

import nats as natspy
import pytest

from actors.host.nats.conf import CONF
from actors.host.nats.server import NatsServer, find
from actors.table import TABLE
from bus import subjects
from bus.acked import acked
from bus.envelope import Outgoing
from bus.errors import StoreRefused
from bus.jetstream import connect
from bus.server import setup
from bus.server.topology import topology

MIB = 1024 * 1024


async def login(nats: Any, principal: str = "engineer", **options: Any) -> Any:
    """Log in without the bus, as somebody who has taken a process would."""

    async def nothing(_: object = None) -> None: ...

    return await natspy.connect(
        nats.server.url,
        user=principal,
        password=nats.passwords[principal],
        inbox_prefix=f"_INBOX_{principal}".encode(),
        allow_reconnect=False,
        error_cb=nothing,
        **options,
    )


async def everybody_works(nats: Any, tag: str) -> None:
    """Let every other actor log in, write mail and read it back."""
    for principal in (name for name in TABLE.processes if name != "engineer"):
        carrier = await nats.connect(principal)
        mailbox = TABLE.mailboxes_of(principal)[0].name
        row = next(iter(TABLE.rows_from([mailbox])))
        subject = subjects.mail(f"m-{tag}", row.to, row.kind, row.sender)
        async with asyncio.timeout(20):
            ack = await carrier.publish(Outgoing(subject, {"Nats-Msg-Id": f"{tag}-{principal}"}, b"{}"))
            stored = await carrier.get("COO", ack.seq)
        assert stored is not None
        assert stored.subject == subject


async def raw_login(nats: Any) -> tuple[asyncio.StreamWriter, bytes]:
    """Log in without any library, and return what the server says."""
    reader, writer = await asyncio.open_connection("127.0.0.1", nats.server.port)
    await reader.readline()
    words = {"user": "engineer", "pass": nats.passwords["engineer"], "verbose": False}
    writer.write(b"CONNECT " + json.dumps(words).encode() + b"\r\nPING\r\n")
    return writer, await reader.readline()


async def test_no_account_takes_the_connections_of_the_others(nats: Any) -> None:
    mine = [await raw_login(nats) for _ in range(300)]
    accepted = sum(said.startswith(b"PONG") for _, said in mine)
    assert 16 <= accepted < 100  # as many processes as an actor may have, and far from all the server has
    await everybody_works(nats, "connections")
    for writer, _ in mine:
        writer.close()


async def test_no_account_takes_endless_subscriptions(nats: Any) -> None:
    client = await login(nats)
    with contextlib.suppress(Exception):
        for n in range(3000):
            await client.subscribe(f"_INBOX_engineer.{n}")
        await client.flush()
        await asyncio.sleep(0)
    async with asyncio.timeout(20):
        while not client.last_error and client.is_connected:
            await asyncio.sleep(0.01)
    assert "subscriptions" in str(client.last_error)
    await everybody_works(nats, "subscriptions")
    await client.close()


async def test_no_message_is_larger_than_what_we_send(nats: Any) -> None:
    client = await login(nats)
    client._max_payload = 2 * MIB  # as a client that does not keep to it
    with contextlib.suppress(Exception):
        await client.publish("coo.b.engineer.x.0", bytes(MIB))
        await client.flush(2)
    async with asyncio.timeout(20):
        while client.is_connected:
            await asyncio.sleep(0.01)
    other = await login(nats)
    for subject, size in (("coo.m.m-1.sandbox.execute.engineer", 200_000), ("coo.dlq.engineer.m-1", 300_000)):
        answer = await other.request(subject, bytes(size), timeout=5)
        assert b"message size exceeds" in answer.data
    await everybody_works(nats, "payload")
    await other.close()


async def test_a_store_full_of_blobs_has_room_for_mail(tmp_path: Any, nats: Any) -> None:
    admin = await nats.connect("admin")
    small = topology(TABLE, ack_wait_s=2.0, blob_store_bytes=8 * MIB, dlq_store_bytes=2 * MIB)
    assert len([line for line in await setup.apply(admin, small) if "updated (max_bytes)" in line]) == 2
    client = await login(nats)
    refused = 0
    for n in range(40):  # files of junk, and dead letters of none
        junk = n.to_bytes(4, "big") * (128 * 1024)
        name = hashlib.sha256(junk).hexdigest()
        answer = await client.request(f"coo.b.engineer.{name}.0", junk, timeout=5)
        refused += b'"error"' in answer.data
        await client.request("coo.dlq.engineer.m-1", junk[:100_000], timeout=5)
    assert refused > 20
    await everybody_works(nats, "blobs")
    qa = await nats.connect("qa")
    subject = subjects.blob_chunk("qa", hashlib.sha256(content := os.urandom(MIB // 2)).hexdigest(), 0)
    with pytest.raises(StoreRefused):  # whoever stores a file waits for room, and says so
        await acked(qa, Outgoing(subject, {}, content), patient=False)
    info = await admin.api("$JS.API.STREAM.INFO.COO_BLOBS", {})
    assert info["state"]["bytes"] <= 8 * MIB
    assert info["state"]["first_seq"] == 1  # and nothing that was written is gone
    await client.close()


async def test_the_bounds_leave_room_in_the_store_that_our_server_has(nats: Any) -> None:
    bounds = {stream.name: stream.store_bytes for stream in topology(TABLE).streams}
    assert bounds["COO"] == -1
    assert sum(bound for bound in bounds.values() if bound > 0) <= 7 * 1024**3
    assert "max_file_store: 8GB" in CONF.read_text()
    admin = await nats.connect("admin")
    assert set(await setup.check(admin, topology(TABLE, ack_wait_s=2.0))) >= {
        "stream COO: as expected",
        "stream COO_BLOBS: as expected",
        "stream COO_DLQ: as expected",
    }


@pytest.mark.parametrize("store", ["6656MB", "1GB", "64MB"])
async def test_a_server_with_a_smaller_store_gets_bounds_that_leave_room_for_mail(
    tmp_path: Any, store: str
) -> None:
    conf = tmp_path / "small.conf"
    conf.write_text(f"jetstream {{ store_dir: $COO_NATS_STORE, max_file_store: {store} }}\n")
    (tmp_path / "run").mkdir()
    most = {"6656MB": 6656, "1GB": 1024, "64MB": 64}[store] * MIB
    async with NatsServer(find(None), conf, tmp_path / "store", tmp_path / "run", "auto", {}) as server:
        admin = await connect(server.url)
        done = await setup.apply(admin, topology(TABLE))
        assert sum("the server's store is smaller" in line for line in done) >= 1
        infos = [await admin.api(f"$JS.API.STREAM.INFO.{name}", {}) for name in ("COO_BLOBS", "COO_DLQ")]
        bounds = [info["config"]["max_bytes"] for info in infos]
        assert min(bounds) > MIB
        assert sum(bounds) <= most * 0.9
        again = [line for line in await setup.apply(admin, topology(TABLE)) if line.startswith("stream")]
        assert {line.split(": ")[1] for line in again} == {"as expected"}
        await admin.close()
