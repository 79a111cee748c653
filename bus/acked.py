"""Publishing one message until the server has answered, and never in silence.

No answer means unknown, and is repeated under the same id; a store without room is waited for. Every other
answer is an error at once.
"""

from __future__ import annotations

import asyncio
import random
from weakref import WeakKeyDictionary

from bus.envelope import Outgoing
from bus.errors import BusError, StoreRefused, Unknown
from bus.ports import Carrier, PubAck
from bus.structured import structlog

log = structlog.get_logger("bus")

_FIRST_PAUSE_S = 0.05
_LONGEST_PAUSE_S = 2.0
_SILENCE_S = 5.0
_COMPLAINT_S = 60.0

_complaints: WeakKeyDictionary[Carrier, dict[str, float]] = WeakKeyDictionary()
"""When each connection said last what it repeats."""


async def acked(carrier: Carrier, message: Outgoing, *, patient: bool = True) -> PubAck:
    """Publish a message until the server has answered, and return its ack. What is repeated is logged.

    Raises:
        StoreRefused: the store takes no more; `patient` waits until somebody makes room.
        NotPermitted, Occupied, PublishRefused: as the server answers.
    """
    pause, begun_s = _FIRST_PAUSE_S, _now_s()
    while True:
        try:
            return await carrier.publish(message)
        except StoreRefused as error:
            if not patient:
                raise
            _complain(carrier, "store.refused", message, error)
        except Unknown as error:
            if _now_s() - begun_s > _SILENCE_S:
                _complain(carrier, "publish.unanswered", message, error)
        await asyncio.sleep(pause * random.uniform(0.5, 1.5))
        pause = min(pause * 2, _LONGEST_PAUSE_S)


def _now_s() -> float:
    return asyncio.get_running_loop().time()


def _complain(carrier: Carrier, event: str, message: Outgoing, error: BusError) -> None:
    """Log what is repeated: once a minute for all that a connection publishes."""
    said_s = _complaints.setdefault(carrier, {})
    if event not in said_s or _now_s() - said_s[event] >= _COMPLAINT_S:
        said_s[event] = _now_s()
        so = "it is repeated until the server takes it"
        log.error(event, subject=message.subject, error=str(error), so=so)
