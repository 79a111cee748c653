"""One order's container from its making to its removal, as blocking steps."""

import contextlib
import functools
import secrets
import time
from collections.abc import Callable, Iterator
from importlib import resources
from typing import NamedTuple, TypeVar

from sandbox.archive import Collector
from sandbox.docker.containers import (
    POOL_LIFE_S,
    POOL_PREFIX,
    container_name,
    container_options,
    dead_man_s,
    host_options,
    owner_from,
)
from sandbox.docker.engine import Engine
from sandbox.docker.pool import Pool, Spare
from sandbox.errors import EngineError
from sandbox.order import Order
from sandbox.owner import Owner, is_dead
from sandbox.policy import Policy
from sandbox.program import BY_SHELL, effective_timeout_s

T = TypeVar("T")

# The kernel's word reaches the engine's events a moment after the process has ended.
_OOM_NEWS_S = 0.3


class Holder(NamedTuple):
    """Name a started container with its program, which has not begun; `born_s` is before its first event."""

    container: str
    exec_id: str
    born_s: float


class Workshop(NamedTuple):
    """Say where containers are made, of what, and whose they are; `image_id` so that no rebuild slips in."""

    engine: Engine
    policy: Policy
    image_id: str
    owner: Owner


def make_spare(shop: Workshop) -> Spare:
    """Start a holder that waits for an order; leaves nothing behind when it fails."""
    name = POOL_PREFIX + secrets.token_hex(8)
    container = _create(shop, name, dead_man_s(shop.policy.timeout_s, 2 * POOL_LIFE_S))
    with _removed_on_error(shop.engine, container):
        shop.engine.start(container)
    return Spare(container, time.monotonic())


def open_holder(shop: Workshop, order: Order, pool: Pool) -> Holder:
    """Make a container ready to run an order, out of the pool if it can; leaves nothing behind when it fails.

    Raises:
        EngineError: also `run_under_way` when the order's container exists and its owner lives.
    """
    while (spare := pool.take()) is not None:
        try:
            return _adopt(shop, order, spare)
        except EngineError as error:
            if error.kind == "run_under_way":
                pool.give_back(spare)
                raise
            # It ended while it waited. Nothing of the order has run: the next one, or a new one, can take it.
            shop.engine.remove(spare.container)
    ends_after_s = dead_man_s(effective_timeout_s(order, shop.policy))
    born_s = time.time() - 1.0
    name = container_name(order.id)
    container = _under_lock(shop.engine, order, lambda: _create(shop, name, ends_after_s))
    with _removed_on_error(shop.engine, container):
        shop.engine.start(container)
        return _prepared(shop.engine, order, container, born_s)


def _adopt(shop: Workshop, order: Order, spare: Spare) -> Holder:
    born_s = time.time() - 1.0
    name = container_name(order.id)
    _under_lock(shop.engine, order, lambda: shop.engine.rename(spare.container, name))
    return _prepared(shop.engine, order, spare.container, born_s)


def _prepared(engine: Engine, order: Order, container: str, born_s: float) -> Holder:
    argv = [*BY_SHELL, *order.argv]
    if order.files:
        # Not the engine's own copy: that starts a process of the engine's and costs three times as much.
        argv = ["python3", "-I", "-S", "-c", _loader(), *argv]
    exec_id = engine.prepare_program(container, argv, with_stdin=bool(order.files or order.stdin))
    return Holder(container, exec_id, born_s)


@functools.cache
def _loader() -> str:
    return resources.files("sandbox.docker").joinpath("loader.py").read_text("utf-8")


def program_input(order: Order) -> list[bytes]:
    """Return what is sent to the program's stdin: the files as the loader takes them, then its own input."""
    if not order.files:
        return [order.stdin] if order.stdin else []
    files = sorted(order.files.items())
    header = b"".join(f"{len(content)} {path}\n".encode() for path, content in files)
    contents = [content for _, content in files if content]
    return [b"%8d" % len(header) + header, *contents, order.stdin]


def _create(shop: Workshop, name: str, ends_after_s: int) -> str:
    return shop.engine.create(
        container_options(name, shop.image_id, ends_after_s, shop.owner),
        host_options(shop.policy, shop.owner),
    )


def _under_lock(engine: Engine, order: Order, take_name: Callable[[], T]) -> T:
    """Take the order's name, also from a container whose owner died in the middle of it."""
    try:
        return take_name()
    except EngineError as error:
        if error.kind != "run_under_way":
            raise
        found = engine.find(container_name(order.id))
        if found is not None:
            if not is_dead(owner_from(found.labels)):
                raise
            engine.remove(found.id)  # by its id: the name may be another process's by now
    return take_name()


@contextlib.contextmanager
def _removed_on_error(engine: Engine, container: str) -> Iterator[None]:
    try:
        yield
    except BaseException:
        engine.remove(container)
        raise


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
