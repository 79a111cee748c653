"""A guard that serves on a log in memory, and performers that call a provider on its money."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import msgspec
from memory_company import LIMITS
from player import Player
from provider import Provider

from actors import messages as m
from actors.performers.model.catalog import ModelPart, ModelTerms
from actors.performers.model.performer import ModelPerformer
from actors.performers.model.providers.openai import OpenAIClient, Patience
from actors.process.wiring import serve
from actors.projections.audit import prove
from actors.projections.guard import read_letters
from actors.roles.budget.role import ROLE
from actors.table import TABLE
from bus.envelope import Mail, open_letter, open_mail
from bus.loops.role import RoleLoop
from bus.memory import MemoryCarrier, MemoryServer
from bus.server.topology import topology

MODEL = "model-engineer"
CALL = m.Call(
    turn="code",
    model="real",
    max_output_tokens=1_000,
    goal="g",
    variables={"brief": "b", "acceptance": "[]", "findings": "none"},
)


PLAN = m.Call(
    turn="plan",
    model="real",
    max_output_tokens=8_000,
    goal="Greet",
    variables={"goal": "Greet", "max_tasks": "8"},
)


@dataclass
class Bank:
    """A guard that serves, and what it takes to call a model on its money."""

    server: MemoryServer
    carrier: MemoryCarrier
    clock_ns: list[int]
    stop: asyncio.Event

    async def say(self, sender: str, to: str, message: msgspec.Struct, id: str, mission: str = "m-1") -> Mail:
        """Publish a letter and return it as the addressee gets it."""
        letter = open_letter(
            TABLE,
            sender=sender,
            to=to,
            mission=mission,
            message=message,
            id=id,
            time_ns=self.carrier.now_ns(),
        )
        ack = await self.carrier.publish(letter)
        stored = await self.carrier.get("COO", ack.seq)
        assert stored is not None
        return open_mail(TABLE, stored, stored.time_ns)

    async def order(self, n: int, call: m.Call = CALL) -> Mail:
        role = "coo" if call.turn == "plan" else "engineer"
        return await self.say(role, f"model-{role}", call, f"call-{n}")

    def facts(self, kind: str) -> list[Any]:
        rows = {row.kind: row.message for row in TABLE.rows}
        stored = [s for s in self.server.stream("COO").messages if f".{kind}." in s.subject]
        return [msgspec.json.decode(s.body, type=rows[kind]) for s in stored]

    async def books(self) -> Any:
        proof = prove(await read_letters(self.carrier))
        assert proof.violations == []
        return proof.books

    async def posted(self) -> int:
        return int((await self.books()).accounts["mission:m-1"].posted)

    def performer(
        self,
        provider: Provider | Player,
        patience: Patience | None = None,
        role: str = "engineer",
        **terms: Any,
    ) -> ModelPerformer:
        part = ModelPart(models={"real": terms_of(provider, **terms)})
        carrier = self.server.connect()
        return ModelPerformer(
            role, TABLE, carrier, part, {"openai": OpenAIClient(part, patience)}, secrets.token_hex(8)
        )


def terms_of(provider: Provider | Player, **more: Any) -> ModelTerms:
    given: dict[str, Any] = {
        "provider": "openai",
        "max_output_tokens": 1_000,
        "context_tokens": 100_000,
        "timeout_s": 2.0,
        "input_picousd_per_token": 1_000_000,
        "output_picousd_per_token": 100_000_000,
        "cache_hit_picousd_per_token": None,
        "base_url": provider.url,
        "key_env": "COO_TEST_KEY",
    }
    return ModelTerms(**(given | more))


@asynccontextmanager
async def running_bank(cap_microusd: int = 1_000_000) -> AsyncIterator[Bank]:
    """Run a guard with limits and one open mission."""
    shift = [0]
    server = MemoryServer(topology(TABLE, ack_wait_s=3), clock=lambda: time.time_ns() + shift[0])
    stop = asyncio.Event()
    guard = asyncio.create_task(serve([RoleLoop(ROLE, TABLE, server.connect())], stop))
    bank = Bank(server, server.connect(), shift, stop)
    await bank.say("ceo", "budget", LIMITS, "limits", "company")
    await bank.say("coo", "budget", m.Open(cap_microusd=cap_microusd), "open")
    try:
        yield bank
    finally:
        stop.set()
        await guard
        server.close()
