"""A provider that plays bytes: whatever it is given to say is sent as it is, and the connection closed."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

CASES = Path(__file__).parents[1] / "cases"
_NONCE = re.compile(r"The nonce for your file blocks is (\w+)\.")
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"


@dataclass
class Player:
    """What it says to each call, and the calls that it had. `cut`: the connection is reset at the end."""

    say: Callable[[], bytes] = lambda: b""
    chunk_bytes: int = 1 << 16
    cut: bool = False
    url: str = ""
    calls: list[dict[str, object]] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            found = re.search(r"(?im)^content-length: *(\d+)", head)
            assert found
            body = json.loads(await reader.readexactly(int(found[1])))
            self.calls.append(body)
            nonce = _NONCE.search(body["messages"][1]["content"])
            said = self.say().replace(b"{{NONCE}}", (nonce[1] if nonce else "").encode())
            for start in range(0, len(said), self.chunk_bytes):
                writer.write(said[start : start + self.chunk_bytes])
                await writer.drain()
            if self.cut:
                await asyncio.sleep(0.01)  # what was sent arrives before the reset does
                writer.transport.abort()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()


def case(name: str) -> bytes:
    """Return the HTTP response of a case."""
    for path in sorted((CASES / name).glob("*.*")):
        if path.suffix == ".http":
            return path.read_bytes()
        if path.suffix == ".sse":
            return HEAD + path.read_bytes()
    raise FileNotFoundError(name)


@asynccontextmanager
async def running_player() -> AsyncIterator[Player]:
    """Run a player on a free port."""
    player = Player()
    server = await asyncio.start_server(player.serve, "127.0.0.1", 0)
    player.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    try:
        yield player
    finally:
        server.close()
        await server.wait_closed()
