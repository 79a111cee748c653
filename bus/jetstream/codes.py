"""What a server's error in answer to a publish means. Every code is read here and nowhere else.

Codes as nats-server 2.11 to 2.15 answer them; `code` is like a status of HTTP, `err_code` says which.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bus.errors import BusError, NotPermitted, Occupied, PublishRefused, StoreRefused, Unknown

_STORE_FAILED = 10077
"""The store's own words are in the description: a limit of the stream, or what the disk answered."""

_ONCE = "maximum messages per subject exceeded"

_FULL = frozenset(
    {
        10002,  # resource limits exceeded for account
        10023,  # insufficient resources: max_file_store or max_memory_store
        10028,  # insufficient memory resources available
        10047,  # insufficient storage resources available
        _STORE_FAILED,
    }
)

_AGAIN = frozenset({10008, 10009, 10158, 10167})
"""No leader at the moment, the same message is just being stored, too many at once."""


def refusal(principal: str, subject: str, error: Mapping[str, Any]) -> BusError:
    """Return what to raise: `Unknown` is to be repeated, everything else is an answer.

    `StoreRefused`: no room. `Occupied`: a write-once subject is taken. `NotPermitted`: rights.
    `PublishRefused`: this message is wrong.
    """
    status, code = _number(error.get("code")), _number(error.get("err_code"))
    description = str(error.get("description", ""))
    if code == _STORE_FAILED and description == _ONCE:
        return Occupied(subject)
    if code in _FULL:
        return StoreRefused(subject, code, description)
    if status in (401, 403):
        return NotPermitted(principal, description)
    if 400 <= status < 500 and status not in (408, 429) and code not in _AGAIN:
        return PublishRefused(subject, code, description)
    return Unknown(f"{subject}: {description} ({code})")


def _number(value: object) -> int:
    return value if isinstance(value, int) else 0
