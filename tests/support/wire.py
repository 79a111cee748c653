"""A bare connection to nats-server, as somebody opens it who took over an actor: it sends any bytes."""

from __future__ import annotations

import asyncio
import json


class Wire:
    """One connection of one user."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, inbox: str) -> None:
        self._reader = reader
        self._writer = writer
        self._inbox = inbox

    @classmethod
    async def open(cls, url: str, user: str, password: str) -> Wire:
        host, port = url.removeprefix("nats://").split(":")
        reader, writer = await asyncio.open_connection(host, int(port), limit=2**22)
        login = {"user": user, "pass": password, "headers": True, "verbose": False, "pedantic": False}
        wire = cls(reader, writer, f"_INBOX_{user}.wire")
        writer.write(f"CONNECT {json.dumps(login)}\r\nSUB {wire._inbox} 1\r\n".encode())
        return wire

    async def publish(self, subject: bytes, raw: bytes, body: bytes) -> tuple[str, int]:
        """Publish, and return the server's verdict: stored, copy, refused or forbidden, and the sequence."""
        sizes = f"{len(raw)} {len(raw) + len(body)}"
        start = b"HPUB " + subject + f" {self._inbox} {sizes}\r\n".encode()
        self._writer.write(start + raw + body + b"\r\n")
        while True:
            line = await asyncio.wait_for(self._reader.readline(), 20)
            assert line, "the server closed the connection"
            verb = line.split(b" ", 1)[0].strip().upper()
            if verb == b"PING":
                self._writer.write(b"PONG\r\n")
            elif verb == b"MSG":
                return _verdict((await self._reader.readexactly(int(line.split()[-1]) + 2))[:-2])
            elif verb == b"HMSG":  # nobody is there to answer
                await self._reader.readexactly(int(line.split()[-1]) + 2)
                return "refused", 0
            elif verb == b"-ERR":
                assert b"Permissions Violation" in line, line
                return "forbidden", 0

    def close(self) -> None:
        self._writer.close()


def _verdict(answer: bytes) -> tuple[str, int]:
    said = json.loads(answer)
    if "error" in said:
        return "refused", 0
    return "copy" if said.get("duplicate") else "stored", said["seq"]
