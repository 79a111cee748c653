"""The approval gate: keeps what was asked until the CEO decides on exactly that.

    asked ──decision(same digest)──> approved | rejected
      └──── time is over ──────────> expired (not a rejection; a later decision still counts)

A decision quotes the digest of what was shown; another digest is declined, and one decision is used once.
Sends `approved`, `rejected` and `expired` to the COO, `declined` to the CEO, `wake` to the clock.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from actors import messages as m
from bus.envelope import Letter, Mail
from bus.fold import Role, Step

_SECOND_NS = 1_000_000_000


class Gate(msgspec.Struct, frozen=True, kw_only=True):
    """The gate's state of one mission: every request by its digest."""

    requests: dict[str, Literal["asked", "expired", "approved", "rejected"]] = {}


def handle(gate: Gate, mail: Mail) -> Step:
    """Decide one mail."""
    match mail.message:
        case m.Request() as request if request.digest not in gate.requests:
            at_ns = mail.now_ns + request.timeout_s * _SECOND_NS
            wake = m.Wake(name=request.digest, at_ns=at_ns)
            return Step(_with(gate, request.digest, "asked"), [Letter(to="clock", message=wake)])
        case m.Request():
            return Step(gate)
        case m.Decision() as decision:
            return _decide(gate, decision)
        case m.Tick(name=digest) if gate.requests.get(digest) == "asked":
            expired = Letter(to="coo", message=m.Expired(digest=digest))
            return Step(_with(gate, digest, "expired"), [expired])
        case m.Tick():
            return Step(gate)
        case other:
            raise ValueError(f"the gate has no rule for {type(other).__name__}")


def _decide(gate: Gate, decision: m.Decision) -> Step:
    asked = gate.requests.get(decision.digest)
    if asked is None:
        return Step(gate, [_declined("nothing with this digest was asked: look again, it may have changed")])
    if asked in ("approved", "rejected"):
        return Step(gate, [_declined(f"this was {asked} before")])
    if decision.verdict == "approve":
        answer: m.Approved | m.Rejected = m.Approved(digest=decision.digest, note=decision.note)
        return Step(_with(gate, decision.digest, "approved"), [Letter(to="coo", message=answer)])
    answer = m.Rejected(digest=decision.digest, note=decision.note)
    return Step(_with(gate, decision.digest, "rejected"), [Letter(to="coo", message=answer)])


def _with(gate: Gate, digest: str, how: Literal["asked", "expired", "approved", "rejected"]) -> Gate:
    return Gate(requests={**gate.requests, digest: how})


def _declined(reason: str) -> Letter:
    return Letter(to="ceo", message=m.Declined(reason=reason))


ROLE: Role[Gate] = Role(name="approval", version=1, state=Gate, handle=handle)
