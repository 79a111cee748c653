"""Find what can isolate a program on this machine; without isolation nothing runs."""

import asyncio
from typing import Literal, Protocol

from sandbox.bubblewrap.backend import BubblewrapBackend
from sandbox.errors import EngineError, Unavailable
from sandbox.order import BackendName, Order, Outcome
from sandbox.policy import Policy
from sandbox.rootfs import Progress
from sandbox.selftest import self_test

Choice = Literal["auto", "docker", "bubblewrap"]


class Backend(Protocol):
    """Run orders. Every method belongs to the event loop the backend was chosen in."""

    name: BackendName

    async def run(self, order: Order) -> Outcome:
        """Run one order to its end; cancelling leaves nothing behind.

        Raises:
            RunUnderWay: the same order is being run, by this process or another.
        """
        ...

    async def sweep(self, older_than_s: float = 0.0) -> tuple[str, ...]:
        """Remove runs of owners that died, at least this old; returns what was removed."""
        ...

    async def describe(self) -> tuple[dict[str, str], tuple[str, ...]]:
        """Return what a doctor shows: parts by name, and what a person should know about them."""
        ...

    async def close(self) -> None:
        """Give everything back; no run may be under way."""
        ...


async def choose_backend(choice: Choice, policy: Policy, progress: Progress = lambda line: None) -> Backend:
    """Return a backend that works.

    choice: `auto` is Docker if the engine answers and the image exists, else bubblewrap if its self-test
        passes.
    progress: called with one line at a time, from another thread, when something takes long.

    Raises:
        Unavailable: none works; `reason` and `fix` are for a person.
    """
    match choice:
        case "docker":
            return await _docker(policy)
        case "bubblewrap":
            return await _bubblewrap(policy, progress)
        case "auto":
            try:
                return await _docker(policy)
            except Unavailable as no_docker:
                try:
                    return await _bubblewrap(policy, progress)
                except Unavailable as no_bubblewrap:
                    raise Unavailable(
                        f"Docker: {no_docker.reason}; bubblewrap: {no_bubblewrap.reason}",
                        f"{no_docker.fix}; or: {no_bubblewrap.fix}",
                    ) from no_bubblewrap


async def _docker(policy: Policy) -> Backend:
    from sandbox.docker.backend import DockerBackend  # the SDK takes long to import

    try:
        return await asyncio.to_thread(DockerBackend, policy)
    except EngineError as error:
        raise Unavailable(error.reason, error.fix) from error


async def _bubblewrap(policy: Policy, progress: Progress) -> Backend:
    backend = await asyncio.to_thread(BubblewrapBackend, policy, progress)
    try:
        await self_test(backend)
    except BaseException:
        await backend.close()
        raise
    return backend
