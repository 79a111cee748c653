"""What is said between who asks for runs and the process that starts sandboxes: frames on a socket pair."""

import asyncio
import struct
from typing import Literal, TypeVar

import msgspec

from sandbox.order import BackendName, Order, Outcome
from sandbox.policy import MIB, Policy

T = TypeVar("T")

Trouble = Literal["", "unavailable", "under_way", "cancelled", "failed"]

_LENGTH = struct.Struct("<I")
_ROOM_BYTES = 32 * MIB


class Begin(msgspec.Struct, frozen=True, tag=True):
    """Say once, first, what runs are limited by: whoever asks later cannot change it."""

    choice: Literal["auto", "docker", "bubblewrap"]
    policy: Policy


class Choose(msgspec.Struct, frozen=True, tag=True):
    """Ask for a backend that works, in place of the one before."""

    number: int


class Run(msgspec.Struct, frozen=True, tag=True):
    """Ask for one run."""

    number: int
    order: Order


class Sweep(msgspec.Struct, frozen=True, tag=True):
    """Ask to remove the runs of dead owners."""

    number: int
    older_than_s: float


class Describe(msgspec.Struct, frozen=True, tag=True):
    """Ask what the backend is made of."""

    number: int


class Close(msgspec.Struct, frozen=True, tag=True):
    """Ask to give the backend back."""

    number: int


class Cancel(msgspec.Struct, frozen=True, tag=True):
    """Ask to end what was asked under a number; the answer comes when nothing of it is left."""

    number: int


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """Answer the question of this number, with what it asks for or with a trouble."""

    number: int
    trouble: Trouble = ""
    reason: str = ""
    fix: str = ""
    name: BackendName = "docker"
    outcome: Outcome | None = None
    swept: tuple[str, ...] = ()
    parts: dict[str, str] = {}
    notes: tuple[str, ...] = ()


Question = Choose | Run | Sweep | Describe | Close | Cancel


def longest(policy: Policy) -> int:
    """Return the most bytes that a frame may have: a full workspace, or the files and output of a run."""
    return max(policy.workspace_bytes, policy.files_bytes + 4 * policy.output_bytes) + _ROOM_BYTES


def frame(message: msgspec.Struct) -> bytes:
    """Write a message as it goes over the socket."""
    body = msgspec.msgpack.encode(message)
    return _LENGTH.pack(len(body)) + body


async def write_frames(queue: asyncio.Queue[bytes], writer: asyncio.StreamWriter) -> None:
    """Write what is put into the queue, whole and in order, a large one bit by bit; for ever."""
    while True:
        rest = memoryview(await queue.get())
        while rest:
            writer.write(rest[:MIB])
            rest = rest[MIB:]
            await writer.drain()


async def read_frame(reader: asyncio.StreamReader, kind: type[T], most_bytes: int) -> T:
    """Return the next message.

    Raises:
        EOFError: the other side is gone, or says something else.
    """
    try:
        (length,) = _LENGTH.unpack(await reader.readexactly(_LENGTH.size))
        if length > most_bytes:
            raise EOFError(f"a frame of {length} bytes")
        return msgspec.msgpack.decode(await reader.readexactly(length), type=kind)
    except (OSError, msgspec.DecodeError) as error:
        raise EOFError(str(error)) from error
