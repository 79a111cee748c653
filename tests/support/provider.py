"""A provider with a meter of its own: a real HTTP server that streams chat completions and can misbehave."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

KEY = "sk-a-key-nobody-may-see"


@dataclass
class Manner:
    """How the provider answers: `usage` is sent as it is, `usd` is what its own meter counts."""

    text: str = "hello"
    usd_micro: int = 90_000
    usage: dict[str, Any] | None = field(
        default_factory=lambda: {"prompt_tokens": 10, "completion_tokens": 20, "cost": 0.09}
    )
    status: int = 200
    body: str = ""
    finish: str | None = "stop"
    before: tuple[str, ...] = (": PROCESSING", "")
    then: str = ""
    pause_s: float = 0.0
    keep_alive_s: float = 0.0
    drop_after: int = -1


@dataclass
class Provider:
    """What reached it: (attempt, body) in order, and what its meter says that it cost."""

    url: str = ""
    manner: Manner = field(default_factory=Manner)
    calls: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    meter_micro: int = 0
    aborted: int = 0
    on_billed: Callable[[], None] = lambda: None

    async def answer(self, request: web.Request) -> web.StreamResponse:
        manner = self.manner
        self.calls.append((request.headers.get("Idempotency-Key", ""), await request.json()))
        self.keys.append(request.headers.get("Authorization", ""))
        if manner.status != 200:
            return web.Response(status=manner.status, text=manner.body)
        self.meter_micro += manner.usd_micro
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        try:
            await self._stream(response, manner)
            self.on_billed()
        except (ConnectionError, asyncio.CancelledError):
            self.aborted += 1
            raise
        return response

    async def _stream(self, response: web.StreamResponse, manner: Manner) -> None:
        lines = list(manner.before)
        lines += [_chunk({"content": part}) for part in manner.text.split(" ")]
        lines += [_chunk({}, manner.finish)] if manner.finish else []
        lines += [manner.then] if manner.then else []
        if manner.usage is not None:
            lines.append(f"data: {json.dumps({'choices': [], 'usage': manner.usage})}")
            lines.append("data: [DONE]")
        for n, line in enumerate(lines):
            if n == manner.drop_after:
                assert response._req is not None
                assert response._req.transport is not None
                response._req.transport.abort()
                raise ConnectionResetError
            await response.write(f"{line}\n\n".encode())
            if manner.keep_alive_s and n == 2:
                for _ in range(int(manner.keep_alive_s / 0.05)):
                    await response.write(b": keep-alive\n\n")
                    await asyncio.sleep(0.05)
            await asyncio.sleep(manner.pause_s)


def _chunk(delta: dict[str, str], finish: str | None = None) -> str:
    return f"data: {json.dumps({'choices': [{'delta': delta, 'finish_reason': finish}]})}"


@asynccontextmanager
async def running_provider() -> AsyncIterator[Provider]:
    """Run a provider on a free port."""
    provider = Provider()
    app = web.Application()
    app.router.add_post("/v1/chat/completions", provider.answer)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    provider.url = f"http://{host}:{port}/v1"
    try:
        yield provider
    finally:
        await runner.cleanup()
