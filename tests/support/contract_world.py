"""A toy company for the contract suite: an adder, a desk that hears of errors, a CEO."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import msgspec

from bus.envelope import Outgoing, open_letter
from bus.table import Buried, Checkpoint, Error, Mailbox, Released, Row, Table


class Add(msgspec.Struct, frozen=True, kw_only=True):
    """Add a number; 13 makes the adder raise."""

    number: int


class Sum(msgspec.Struct, frozen=True, kw_only=True):
    total: int


TOY = Table(
    rows=(
        Row(kind="add", sender="ceo", to="adder", message=Add),
        Row(kind="sum", sender="adder", to="ceo", message=Sum),
        Row(kind="sum", sender="adder", to="desk", message=Sum),
        Row(kind="error", sender="adder", to="desk", message=Error),
        Row(kind="checkpoint", sender="adder", to="adder", message=Checkpoint),
        Row(kind="buried", sender="operator", to="adder", message=Buried),
        Row(kind="released", sender="operator", to="adder", message=Released),
    ),
    mailboxes=(Mailbox(name="adder", process="adder"), Mailbox(name="desk", process="desk")),
    people=("ceo",),
    errors_to="desk",
)


def add(number: int, id: str = "", mission: str = "m-1") -> Outgoing:
    """Make the CEO's letter to the adder."""
    return open_letter(
        TOY,
        sender="ceo",
        to="adder",
        mission=mission,
        message=Add(number=number),
        id=id or f"add-{mission}-{number}",
        time_ns=time.time_ns(),
    )


async def hand_write(
    url: str, subject: bytes, raw: bytes, body: bytes, user: str = "", password: str = ""
) -> int:
    """Publish bytes as they are, without a client, and return their sequence; 0 if they are not stored."""
    login = {"verbose": False, "headers": True, "no_responders": True, "user": user, "pass": password}
    answer_to = f"_INBOX_{user}.1".encode()
    host, _, port = url.removeprefix("nats://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        writer.write(b"CONNECT %b\r\nSUB %b 1\r\n" % (msgspec.json.encode(login), answer_to))
        sizes = b"%d %d" % (len(raw), len(raw + body)) if raw else b"%d" % len(body)
        verb = b"HPUB" if raw else b"PUB"
        writer.write(b"%b %b %b %b\r\n%b%b\r\n" % (verb, subject, answer_to, sizes, raw, body))
        async with asyncio.timeout(5):
            while not (line := await reader.readline()).startswith((b"MSG", b"HMSG")):
                assert line, "the server has hung up"
            answer = await reader.readexactly(int(line.split()[-1]))
        return int(msgspec.json.decode(answer).get("seq", 0)) if line.startswith(b"MSG") else 0
    finally:
        writer.close()


async def eventually(condition: Callable[[], bool], timeout_s: float = 5.0) -> None:
    """Wait for a condition, and fail when it does not come true in time."""
    async with asyncio.timeout(timeout_s):
        while not condition():
            await asyncio.sleep(0.01)
