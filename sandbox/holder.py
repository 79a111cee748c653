"""One order's container from its making to its removal, as blocking steps."""

import time
from collections.abc import Iterator
from typing import NamedTuple

from sandbox.archive import Collector, pack
from sandbox.containers import container_name, container_options, host_options, owner_from
from sandbox.docker import Engine
from sandbox.errors import EngineError
from sandbox.order import Order
from sandbox.owner import current_owner, is_dead
from sandbox.policy import Policy

# The kernel's word reaches the engine's events a moment after the process has ended.
_OOM_NEWS_S = 0.3


class Holder(NamedTuple):
    """Name a started container with its files and its program; `born_s` is before its first event."""

    container: str
    exec_id: str
    born_s: float


def open_holder(engine: Engine, order: Order, policy: Policy) -> Holder:
    """Make a container ready to run an order; leaves nothing behind when it fails.

    Raises:
        EngineError: also `run_under_way` when the order's container exists and its owner lives.
    """
    born_s = time.time() - 1.0
    container = _create(engine, order, policy)
    try:
        engine.start(container)
        engine.put(container, pack(order.files))
        exec_id = engine.prepare_program(container, order.argv, with_stdin=bool(order.stdin))
    except BaseException:
        engine.remove(container)
        raise
    return Holder(container, exec_id, born_s)


def _create(engine: Engine, order: Order, policy: Policy) -> str:
    options, host = container_options(order, policy, current_owner()), host_options(policy)
    try:
        return engine.create(options, host)
    except EngineError as error:
        if error.kind != "run_under_way":
            raise
        found = engine.labels(container_name(order.id))
        if found is not None and not is_dead(owner_from(found)):
            raise
    # The performer died in the middle of this order and its successor was given it again.
    engine.remove(container_name(order.id))
    return engine.create(options, host)


def ran_out_of_memory(engine: Engine, holder: Holder, *, suspected: bool) -> bool:
    """Ask whether memory ended anything in the container; when suspected, wait a moment for the news."""
    give_up = time.monotonic() + (_OOM_NEWS_S if suspected else 0.0)
    while not (found := engine.ran_out_of_memory(holder.container, holder.born_s)):
        if time.monotonic() >= give_up:
            break
        time.sleep(0.02)
    return found


def collect(engine: Engine, holder: Holder, collector: Collector) -> None:
    """Freeze the container and take its files out."""
    engine.pause(holder.container)
    with engine.workspace_archive(holder.container) as chunks:
        collector.take(_ChunkReader(chunks).read)


class _ChunkReader:
    """Read an iterator of chunks like a file."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._rest = b""

    def read(self, size: int) -> bytes:
        while len(self._rest) < size and (chunk := next(self._chunks, None)) is not None:
            self._rest += chunk
        piece, self._rest = self._rest[:size], self._rest[size:]
        return piece
