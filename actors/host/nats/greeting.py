"""What a NATS server says first to whoever connects."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit


async def greeting(url: str) -> dict[str, Any] | None:
    """Return the INFO a server says first, None when nobody answers with one within a second."""
    address = urlsplit(url)
    try:
        async with asyncio.timeout(1):
            reader, writer = await asyncio.open_connection(address.hostname, address.port)
            try:
                line = await reader.readline()
            finally:
                writer.close()
                with suppress(OSError):
                    await writer.wait_closed()
    except (OSError, TimeoutError, ValueError):
        return None
    return json.loads(line[len(b"INFO ") :]) if line.startswith(b"INFO ") else None
