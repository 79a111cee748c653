"""nats-py, imported in one place and without its WebSocket transport."""

import sys

# nats-py imports aiohttp for its WebSocket transport alone, which costs every process 0.1 s of start.
_HIDDEN = "aiohttp" not in sys.modules
if _HIDDEN:
    sys.modules["aiohttp"] = None  # type: ignore[assignment]
import nats.errors
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

if _HIDDEN:
    del sys.modules["aiohttp"]

__all__ = ["Client", "Msg", "Subscription", "nats"]
