"""The log in memory judges what a taken actor publishes as a real nats-server does."""

from __future__ import annotations

import asyncio
import base64
import json
from random import Random
from typing import Any

import nats as natspy
import pytest

from actors.chaos.adversary import Adversary
from actors.chaos.clockwork import run as run_on_virtual_time
from actors.chaos.faults import CALM
from actors.chaos.simulation import Simulation
from actors.table import TABLE
from bus import authority
from bus.envelope import Outgoing, Stored
from bus.errors import NotPermitted, Occupied, Unknown
from bus.memory import MemoryServer
from bus.topology import topology

MESSAGES = 400
STREAMS = ("COO", "COO_BLOBS", "COO_DLQ")
Verdict = tuple[str, int]


def calm_log() -> list[Stored]:
    simulation = Simulation(0, CALM)
    run_on_virtual_time(simulation.play(1))
    return list(simulation.server.stream("COO").messages)


@pytest.fixture(scope="module")
def heard() -> list[Stored]:
    return calm_log()


def generated(process: str, heard: list[Stored]) -> list[Outgoing]:
    """Return what a taken process may write, and some that it may not."""
    chance = Random(process)
    adversary = Adversary(TABLE, process, chance, ["m-2"], ["m-1"])
    for stored in heard:
        adversary.hear(stored)
    found = []
    for _ in range(MESSAGES):
        message = adversary.message()
        if chance.random() < 0.15:
            message = Outgoing(elsewhere(message.subject, chance), message.headers, message.body)
        found.append(message)
    return found


def elsewhere(subject: str, chance: Random) -> str:
    """Return another subject near one: with a token more, one less, an empty one, or another's name."""
    tokens = subject.split(".")
    at = chance.randrange(1, len(tokens))
    match chance.randrange(5):
        case 0:
            tokens.insert(at, chance.choice(("x", "*", ">")))
        case 1:
            del tokens[at]
        case 2:
            tokens[at] = ""
        case 3:
            tokens[-1] = chance.choice(("ceo", "operator", "*", ">", "budget", "coo"))
        case _:
            tokens[at] = chance.choice(("*", ">", "engineer", "x"))
    return ".".join(tokens)


async def judged_in_memory(process: str, messages: list[Outgoing]) -> tuple[list[Verdict], list[Any]]:
    server = MemoryServer(topology(TABLE))
    carrier = server.connect(authority.grants(TABLE, process).all)
    verdicts = []
    for message in messages:
        try:
            ack = await carrier.publish(message)
            verdicts.append(("copy" if ack.duplicate else "stored", ack.seq))
        except (NotPermitted, Unknown, Occupied) as error:
            verdicts.append(("forbidden" if isinstance(error, NotPermitted) else "refused", 0))
    server.close()
    return verdicts, [
        (stored.seq, stored.subject, stored.body)
        for name in STREAMS
        for stored in server.stream(name).messages
    ]


async def judged_by_nats(
    nats: Any, process: str, messages: list[Outgoing]
) -> tuple[list[Verdict], list[Any]]:
    """Publish everything on one connection, which the server judges in this order."""
    forbidden: list[str] = []
    verdicts: dict[int, Verdict] = {}

    async def note(error: Exception) -> None:
        forbidden.append(str(error))

    async def answer(msg: Any) -> None:
        said = json.loads(msg.data)
        verdict = ("copy" if said.get("duplicate") else "stored", said.get("seq", 0))
        verdicts[int(msg.subject.rsplit(".", 1)[1])] = ("refused", 0) if "error" in said else verdict

    inbox = f"_INBOX_{process}"
    client = await natspy.connect(
        nats.server.url, user=process, password=nats.passwords[process], error_cb=note
    )
    await client.subscribe(f"{inbox}.*", cb=answer)
    for n, message in enumerate(messages):
        await client.publish(message.subject, message.body, f"{inbox}.{n}", dict(message.headers))
        if n % 50 == 49:
            await client.flush()
    await client.flush()
    async with asyncio.timeout(20):
        while len(verdicts) + len(forbidden) < len(messages):
            await asyncio.sleep(0.05)
    await client.close()
    return [verdicts.get(n, ("forbidden", 0)) for n in range(len(messages))], await stored_by(nats)


async def stored_by(nats: Any) -> list[tuple[int, str, bytes]]:
    """Return what the streams hold, by a way of reading that knows no headers."""
    admin, found = await nats.connect("admin"), []
    for name in STREAMS:
        seq = 1
        while "error" not in (said := await admin.api(f"$JS.API.STREAM.MSG.GET.{name}", {"seq": seq})):
            message = said["message"]
            found.append((seq, message["subject"], base64.b64decode(message.get("data", ""))))
            seq += 1
    return found


@pytest.mark.parametrize("process", TABLE.processes)
async def test_what_a_taken_actor_writes_is_judged_alike_in_memory_and_by_the_server(
    nats: Any, heard: list[Stored], process: str
) -> None:
    messages = generated(process, heard)
    in_memory, stored = await judged_in_memory(process, messages)
    by_nats, really = await judged_by_nats(nats, process, messages)

    differing = [
        (message.subject, dict(message.headers), ours, theirs)
        for message, ours, theirs in zip(messages, in_memory, by_nats, strict=True)
        if ours != theirs
    ]
    assert differing == []
    assert stored == really
    assert {kind for kind, _ in by_nats} == {"stored", "copy", "refused", "forbidden"}
