"""A toy company for the contract suite: an adder, a desk that hears of errors, a CEO."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import msgspec

from bus.envelope import Outgoing, open_letter
from bus.table import Checkpoint, Error, Mailbox, Row, Table


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


async def eventually(condition: Callable[[], bool], timeout_s: float = 5.0) -> None:
    """Wait for a condition, and fail when it does not come true in time."""
    async with asyncio.timeout(timeout_s):
        while not condition():
            await asyncio.sleep(0.01)
