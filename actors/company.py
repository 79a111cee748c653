"""Who serves what: the loops of one actor process, on any carrier."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from actors.table import HALTS, TABLE
from bus.errors import BusError
from bus.fold import Role
from bus.loop import LoopSettings, RoleLoop
from bus.performer import Performer, PerformerLoop
from bus.poison import Deaths
from bus.ports import Carrier
from config.parts import ActorConfig, BusPart, ModelPart, SandboxPart

if TYPE_CHECKING:
    from sandbox import Backend, Policy

FindBackend = Callable[[], Awaitable["Backend"]]
FindRole = Callable[[str], Role[Any]]

SANDBOX_ORDERS = 320
"""Orders that one sandbox process holds, to choose the next: more than both senders may have waiting."""

MODEL_CALLS = 16
"""Calls that one role's process has out at once."""


class Loop(Protocol):
    """Something that serves a mailbox until told to stop."""

    async def run(self, stop: asyncio.Event) -> None: ...


def role(name: str) -> Role[Any]:
    """Return a role by name; only the one that is asked for is imported."""
    from importlib import import_module

    found: Role[Any] = import_module(f"actors.roles.{name}").ROLE
    return found


def loops(
    process: str,
    carrier: Carrier,
    config: ActorConfig,
    find_backend: FindBackend | None = None,
    nonce: str = "",
    deaths: Deaths | None = None,
    find_role: FindRole = role,
) -> list[Loop]:
    """Return the loops that one actor process runs, a mailbox each.

    `nonce` names this process in the money path and must be its alone; by default it is random. `deaths`
    keeps what kills this process.
    """
    nonce = nonce or secrets.token_hex(8)
    names = [mailbox.name for mailbox in TABLE.mailboxes_of(process)]
    return [_loop(name, carrier, config, find_backend, nonce, deaths, find_role) for name in names]


def _loop(
    mailbox: str,
    carrier: Carrier,
    config: ActorConfig,
    find_backend: FindBackend | None,
    nonce: str,
    deaths: Deaths | None,
    find_role: FindRole,
) -> Loop:
    if mailbox == "clock":
        from actors.performers.clock import Clock

        return Clock(TABLE, carrier)
    if mailbox == "sandbox":
        from actors.performers.runner import SandboxPerformer

        assert config.sandbox is not None
        finder = find_backend or _finder(config.sandbox)
        runs, most = config.sandbox.parallel, config.sandbox.workspace_bytes
        performer = SandboxPerformer(carrier, finder, runs=runs, most_bytes=most)
        return _performer(performer, carrier, config.bus, SANDBOX_ORDERS, deaths)
    if mailbox.startswith("model-"):
        from actors.performers.model import ModelPerformer

        assert config.model is not None
        name = mailbox.removeprefix("model-")
        model = ModelPerformer(name, TABLE, carrier, config.model, _clients(config.model), nonce)
        return _performer(model, carrier, config.bus, MODEL_CALLS, deaths)
    return RoleLoop(find_role(mailbox), TABLE, carrier, _settings(config.bus), deaths)


def _settings(bus: BusPart) -> LoopSettings:
    return LoopSettings(
        window=bus.window,
        ack_wait_s=bus.ack_wait_s,
        checkpoint_every=bus.checkpoint_every,
        old_after_s=bus.duplicate_window_s / 2,
    )


def _performer(
    performer: Performer, carrier: Carrier, bus: BusPart, slots: int, deaths: Deaths | None
) -> PerformerLoop:
    return PerformerLoop(
        performer, TABLE, carrier, halts=HALTS, slots=slots, ack_wait_s=bus.ack_wait_s, deaths=deaths
    )


def _clients(part: ModelPart) -> dict[str, Any]:
    from actors.performers.scripted import ScriptedClient

    clients: dict[str, Any] = {"scripted": ScriptedClient(Path(part.scripts) if part.scripts else None)}
    if any(terms.provider == "openai" for terms in part.models.values()):
        from actors.performers.openai import OpenAIClient

        clients["openai"] = OpenAIClient(part)
    return clients


def _finder(part: SandboxPart) -> FindBackend:
    async def find() -> Backend:
        from sandbox import choose_backend

        return await choose_backend(part.backend, sandbox_policy(part))

    return find


def sandbox_policy(part: SandboxPart) -> Policy:
    """Return the limits of every run as the sandbox takes them."""
    from sandbox import Policy

    limits = msgspec.structs.asdict(part)
    del limits["backend"]
    return Policy(**limits)


async def serve(loops: list[Loop], stop: asyncio.Event) -> None:
    """Run loops until `stop` is set or one of them fails; then all of them end.

    Raises:
        BusError: what the first one to fail raised.
    """
    tasks = [asyncio.create_task(loop.run(stop)) for loop in loops]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
    finally:
        failed = next((t for t in tasks if t.done() and not t.cancelled() and t.exception()), None)
        if failed is not None:
            stop.set()
        for task in tasks:
            if failed is None and not stop.is_set():
                task.cancel()
        ended = await asyncio.gather(*tasks, return_exceptions=True)
    errors = [error for error in ended if isinstance(error, BaseException)]
    if errors:
        raise next((error for error in errors if isinstance(error, BusError)), errors[0])
