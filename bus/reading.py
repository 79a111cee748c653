"""Reading a stream from one end to the other."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

from bus.envelope import Stored
from bus.ports import Behind, Carrier
from bus.subjects import Filter


async def pages(
    carrier: Carrier, stream: str, pattern: Filter, start: int = 1, *, whole: bool = True
) -> AsyncIterator[list[Stored]]:
    """Yield what a stream holds now, page by page, in order.

    Raises:
        ReadEndsEarly: it ends before a message that is known to be there.
    """
    known = await carrier.newest(stream, pattern)
    behind = Behind(stream, known)
    while True:
        page = await carrier.read(stream, pattern, start, whole=whole)
        if page:
            yield page
            start = page[-1].seq + 1
        elif start > known:
            return
        else:
            await behind.wait()


async def every(
    carrier: Carrier, stream: str, pattern: Filter, start: int = 1, *, whole: bool = True
) -> AsyncIterator[Stored]:
    """Yield every message from a sequence on, until a read finds none: there may be more by then."""
    while page := await carrier.read(stream, pattern, start, whole=whole):
        for stored in page:
            yield stored
        start = page[-1].seq + 1


async def first(
    carrier: Carrier, stream: str, pattern: Filter, start: int, wanted: Callable[[Stored], bool]
) -> Stored | None:
    """Return the first message from a sequence on that is wanted; None, if a read finds no more."""
    while page := await carrier.read(stream, pattern, start, whole=False):
        if (found := next(filter(wanted, page), None)) is not None:
            return found
        start = page[-1].seq + 1
    return None
