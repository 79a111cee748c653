"""The log in memory judges what a taken actor publishes as a real nats-server does."""

from __future__ import annotations

import base64
from random import Random
from typing import Any

import pytest
from wire import Wire

from actors.chaos.adversary import Adversary, Forged
from actors.chaos.clockwork import run as run_on_virtual_time
from actors.chaos.faults import CALM
from actors.chaos.simulation import Simulation
from actors.table import TABLE
from bus.envelope import Stored
from bus.errors import NotPermitted, Occupied, Unknown
from bus.memory import MemoryServer
from bus.server import authority
from bus.server.topology import topology
from bus.subjects import EVERY_MAIL
from bus.wire import headers_in

MESSAGES = 200
STREAMS = ("COO", "COO_BLOBS", "COO_DLQ")
Verdict = tuple[str, int]


def calm_log() -> list[Stored]:
    simulation = Simulation(0, CALM)
    run_on_virtual_time(simulation.play(1))
    return list(simulation.server.stream("COO").messages)


@pytest.fixture(scope="module")
def heard() -> list[Stored]:
    return calm_log()


def generated(process: str, heard: list[Stored]) -> list[Forged]:
    """Return what a taken process may write, and some that it may not."""
    chance = Random(process)
    adversary = Adversary(TABLE, process, chance, ["m-2"], ["m-1"])
    for stored in heard:
        adversary.hear(stored)
    found = []
    for _ in range(MESSAGES):
        message = adversary.message()
        if chance.random() < 0.15:
            message = message._replace(subject=elsewhere(message.subject.decode(), chance).encode())
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


async def judged_in_memory(process: str, messages: list[Forged]) -> tuple[list[Verdict], list[Any]]:
    server = MemoryServer(topology(TABLE))
    carrier = server.connect(authority.grants(TABLE, process).all)
    verdicts = []
    for message in messages:
        try:
            ack = carrier.write(*message)
            verdicts.append(("copy" if ack.duplicate else "stored", ack.seq))
        except (NotPermitted, Unknown, Occupied) as error:
            verdicts.append(("forbidden" if isinstance(error, NotPermitted) else "refused", 0))
    server.close()
    return verdicts, [
        (stored.seq, stored.subject, dict(stored.headers), stored.flaw, stored.body)
        for name in STREAMS
        for stored in server.stream(name).messages
    ]


async def judged_by_nats(nats: Any, process: str, messages: list[Forged]) -> tuple[list[Verdict], list[Any]]:
    wire = await Wire.open(nats.server.url, process, nats.passwords[process])
    verdicts = [await wire.publish(*message) for message in messages]
    wire.close()
    return verdicts, await stored_by(nats)


async def every_mail(nats: Any) -> list[Stored]:
    """Return all mail as `coo verify` reads it: none of it is out of reach, whatever its subject."""
    reader, found = await nats.connect("ceo"), list[Stored]()
    while page := await reader.read("COO", EVERY_MAIL, len(found) + 1):
        found += page
    return found


async def stored_by(nats: Any) -> list[Any]:
    """Return what the streams hold, by a way of reading that knows no headers."""
    admin, found = await nats.connect("admin"), []
    for name in STREAMS:
        seq = 1
        while "error" not in (said := await admin.api(f"$JS.API.STREAM.MSG.GET.{name}", {"seq": seq})):
            message = said["message"]
            headers, flaw = headers_in(base64.b64decode(message.get("hdrs", ""))[:-2])
            body = base64.b64decode(message.get("data", ""))
            found.append((seq, message["subject"], headers, flaw, body))
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
        (message.subject, message.raw, ours, theirs)
        for message, ours, theirs in zip(messages, in_memory, by_nats, strict=True)
        if ours != theirs
    ]
    assert differing == []
    assert stored == really
    in_log = sum(1 for message in really if message[1].startswith("coo.m."))
    assert [one.seq for one in await every_mail(nats)] == list(range(1, in_log + 1))
    assert {kind for kind, _ in by_nats} == {"stored", "copy", "refused", "forbidden"}
