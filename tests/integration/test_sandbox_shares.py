"""A taken engineer floods the sandbox: QA is served all the same, and what cannot fit is not fetched."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest

from actors import messages as m
from actors.process.wiring import loops, serve
from actors.table import TABLE
from bus import blobs
from bus.envelope import Outgoing, open_letter
from bus.subjects import MAIL_STREAM
from bus.table import Ref
from config.parts import decode
from config.settings import load
from config.split import part

MIB = 1024 * 1024
PATIENCE_S = 300  # a busy machine needs a minute


def order(sender: str, mission: str, *argv: str, files: dict[str, Ref] | None = None) -> Outgoing:
    run = m.Execute(run="run", number=0, rework=0, round=0, argv=argv, files=files or {}, timeout_s=60)
    return open_letter(
        TABLE,
        sender=sender,
        to="sandbox",
        mission=mission,
        message=run,
        id=f"{mission}-{sender}",
        time_ns=time.time_ns(),
    )


async def outcomes(carrier: Any, to: str) -> list[m.Outcome]:
    found: list[m.Outcome] = []
    start = 1
    while page := await carrier.read(MAIL_STREAM, f"coo.m.*.{to}.outcome.sandbox", start):
        found += [msgspec.json.decode(stored.body, type=m.Outcome) for stored in page]
        start = page[-1].seq + 1
    return found


@pytest.fixture
async def sandbox(nats: Any) -> AsyncIterator[None]:
    """Serve the sandbox's mailbox with real sandboxes."""
    settings = load(overrides={"sandbox": {"backend": "bubblewrap", "workspace_inodes": 1000}})
    carrier, stop = await nats.connect("sandbox"), asyncio.Event()
    serving = asyncio.ensure_future(
        serve(loops("sandbox", carrier, decode(part(settings, "sandbox", TABLE.needs_of("sandbox")))), stop)
    )
    yield
    stop.set()
    await serving


async def test_qa_is_served_while_an_engineer_floods_the_sandbox(nats: Any, sandbox: None) -> None:
    engineer, qa = await nats.connect("engineer"), await nats.connect("qa")
    flood = [order("engineer", f"m-{n}", "sleep", "2") for n in range(400)]
    await asyncio.gather(*map(engineer.publish, flood))
    await qa.publish(order("qa", "m-honest", "true"))
    async with asyncio.timeout(PATIENCE_S):
        while not (answers := await outcomes(qa, "qa")):
            await asyncio.sleep(0.1)
    assert [answer.status for answer in answers] == ["ok"]
    statuses = Counter(answer.status for answer in await outcomes(engineer, "engineer"))
    assert statuses["ok"] < 60  # not all that came before it
    async with asyncio.timeout(
        PATIENCE_S
    ):  # what is beyond its share is answered, with what to do, and not kept
        while Counter(a.status for a in await outcomes(engineer, "engineer"))["not_started"] < 200:
            await asyncio.sleep(0.1)
    refused = [a for a in await outcomes(engineer, "engineer") if a.status == "not_started"]
    assert all("wait already" in answer.reason and answer.fix for answer in refused)


async def test_files_that_cannot_fit_are_not_fetched(nats: Any, sandbox: None) -> None:
    engineer = await nats.connect("engineer")
    missing = Ref(owner="engineer", digest="0" * 64, size=16 * MIB)
    await engineer.publish(order("engineer", "m-big", "true", files={f"{n}.bin": missing for n in range(60)}))
    async with asyncio.timeout(PATIENCE_S):
        while not (answers := await outcomes(engineer, "engineer")):
            await asyncio.sleep(0.1)
    assert [answer.status for answer in answers] == ["not_started"]
    assert answers[0].reason == "the files need 960 MiB, the workspace holds 128"


async def test_an_order_that_does_not_fit_ends_nobody_else_s_run(nats: Any, sandbox: None) -> None:
    engineer, qa = await nats.connect("engineer"), await nats.connect("qa")
    empty = await blobs.put(engineer, "engineer", b"")
    await qa.publish(order("qa", "m-slow", "python3", "-c", "import time; time.sleep(4); print('done')"))
    paths = {f"{n // 256}/{n % 256}/{'d/' * 12}{n}": empty for n in range(300)}
    for n in range(8):
        many = {f"{n}/{place}": ref for place, ref in paths.items()}
        await engineer.publish(order("engineer", f"m-many-{n}", "true", files=many))
    async with asyncio.timeout(PATIENCE_S):
        while len(await outcomes(engineer, "engineer")) < 8 or not await outcomes(qa, "qa"):
            await asyncio.sleep(0.1)
    assert [(answer.status, answer.stdout) for answer in await outcomes(qa, "qa")] == [("ok", "done\n")]
