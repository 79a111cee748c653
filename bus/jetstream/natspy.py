"""nats-py, imported in one place, without its WebSocket transport, and without its way with cancellations.

Nor with bytes: it splits what the server sends at more white space than the server does, so that a subject
with a form feed in it ended the connection or was taken for a message to another subscription; a subject that
is no UTF-8 ended its reader in silence; and a header named `Status` passed for the server's own word.
"""

import asyncio
import re
import sys
from collections.abc import Coroutine
from typing import Any, TypeVar

# nats-py imports aiohttp for its WebSocket transport alone, which costs every process 0.1 s of start.
_HIDDEN = "aiohttp" not in sys.modules
if _HIDDEN:
    sys.modules["aiohttp"] = None  # type: ignore[assignment]  # None: not to be imported
import nats.aio.client
import nats.errors
import nats.protocol.parser
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

if _HIDDEN:
    del sys.modules["aiohttp"]

from bus.wire import head_of, headers_in, text_of

__all__ = ["Client", "Msg", "Said", "Subscription", "apart", "nats", "raw_of"]

T = TypeVar("T")

_WORD = rb"([^ \t\r\n]+)"
_HEAD = rb"[ \t]+" + _WORD + rb"[ \t]+([0-9]+)[ \t]+(" + _WORD + rb"[ \t]+)?"
nats.protocol.parser.MSG_RE = re.compile(rb"\AMSG" + _HEAD + rb"([0-9]+)\r\n")
nats.protocol.parser.HMSG_RE = re.compile(rb"\AHMSG" + _HEAD + rb"([0-9]+)[ \t]+([0-9]+)\r\n")


class Said(dict[str, str]):
    """The server's own word (`Status`, `Description` and its headers), else nothing; `raw` is as it came."""

    def __init__(self, raw: bytes) -> None:
        super().__init__(_own_word(raw))
        self.raw = raw


def _own_word(raw: bytes) -> dict[str, str]:
    """Read a status line. The server stores none: it cuts off what somebody publishes there (2.15.1)."""
    if not raw.startswith(b"NATS/1.0 "):
        return {}
    first, _, rest = raw[9:].partition(b"\r\n")
    status, _, description = first.decode("ascii", "replace").partition(" ")
    headers, _ = headers_in(b"NATS/1.0\r\n" + head_of(rest)) if head_of(rest) else ({}, "")
    return {**headers, "Status": status, "Description": description}


def raw_of(msg: Msg) -> bytes:
    """Return a message's headers as they came."""
    return msg.headers.raw if isinstance(msg.headers, Said) else b""


class Client(nats.aio.client.Client):
    """A client that leaves headers and subjects as they are."""

    async def _process_headers(self, headers: bytes | None) -> Said | None:
        return Said(headers) if headers else None

    def _build_message(
        self, sid: int, subject: bytes, reply: bytes, data: bytes, headers: dict[str, str] | None
    ) -> Msg:
        return self.msg_class(
            subject=text_of(subject),
            reply=text_of(reply),
            data=data,
            headers=headers,
            _client=self,
            _sid=sid,
        )


async def apart(work: Coroutine[Any, Any, T]) -> T:
    """Run code of nats-py in a task of its own, so that no cancellation of ours is lost in it.

    It waits with `asyncio.wait_for`, which before Python 3.12 drops a cancellation that comes together with
    the result, and some of its code catches them: a Ctrl-C at such a moment would have been ignored.
    """
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        task.cancel()
        await asyncio.wait({task})
        if not task.cancelled():
            task.exception()  # nobody waits for it any more
        raise
