"""The approval gate: keeps what was asked until the CEO decides on exactly that.

    none ── a request ──> asked
    asked ── the CEO's word on the same digest ──> approved
    asked ── the CEO's word on the same digest ──> rejected
    asked ── time is over: not a rejection ──> expired
    expired ── a later word still counts ──> approved
    expired ── a later word still counts ──> rejected
    asked ── another raise is asked for ──> withdrawn
    expired ── another raise is asked for ──> withdrawn

When the mission is over nothing is decided any more.

A decision quotes the digest of what was shown; another digest is declined, and one decision is used once.
A raise that is approved, or that the CEO decides unasked, is told to the guard, and by nobody else. Sends
`approved`, `rejected` and `expired` to the COO, `raise` to the guard, `declined` to the CEO, `wake` to the
clock.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from actors import messages as m
from actors.days import SECOND_NS
from bus.envelope import Letter, Mail
from bus.fold import Role, Step

How = Literal["asked", "expired", "approved", "rejected", "withdrawn"]

MAX_REQUESTS = 100
"""Requests of one mission that are remembered: the oldest that were decided are forgotten beyond that, open
ones never; with so many open another one is rejected."""


class Gate(msgspec.Struct, frozen=True, kw_only=True):
    """The gate's state of one mission: requests by digest, and by how much a raise is."""

    requests: dict[str, How] = {}
    raises: dict[str, int] = {}
    over: bool = False


def handle(gate: Gate, mail: Mail) -> Step:
    """Decide one mail."""
    match mail.message:
        case m.Close():
            return Step(Gate(over=True))
        case m.Decision() if gate.over:
            return Step(gate, [_declined("the mission is over")])
        case _ if gate.over:
            return Step(gate)
        case m.Request() as request if request.digest not in gate.requests:
            return _ask(gate, mail, request)
        case m.Request():
            return Step(gate)
        case m.Decision() as decision if decision.raise_microusd or decision.raise_tokens:
            return _raise_unasked(gate, decision)
        case m.Decision() as decision:
            return _decide(gate, decision)
        case m.Tick(name=digest) if gate.requests.get(digest) == "asked":
            expired = Letter(to="coo", message=m.Expired(digest=digest))
            return Step(_with(gate, digest, "expired"), [expired])
        case m.Tick():
            return Step(gate)
        case other:
            raise ValueError(f"the gate has no rule for {type(other).__name__}")


def _ask(gate: Gate, mail: Mail, request: m.Request) -> Step:
    if sum(how in ("asked", "expired") for how in gate.requests.values()) >= MAX_REQUESTS:
        note = f"the mission has {MAX_REQUESTS} requests that the CEO has not decided"
        return Step(gate, [Letter(to="coo", message=m.Rejected(digest=request.digest, note=note))])
    if request.what == "raise":
        gate = _withdrawn(gate)
        gate = Gate(
            requests=gate.requests, raises={**gate.raises, request.digest: max(0, request.raise_microusd)}
        )
    at_ns = mail.now_ns + request.timeout_s * SECOND_NS
    wake = m.Wake(name=request.digest, at_ns=at_ns)
    return Step(_with(gate, request.digest, "asked"), [Letter(to="clock", message=wake)])


def _decide(gate: Gate, decision: m.Decision) -> Step:
    digest = decision.digest
    match gate.requests.get(digest):
        case None:
            why = "nothing with this digest was asked: look again, it may have changed"
            return Step(gate, [_declined(why)])
        case "approved" | "rejected" | "withdrawn" as before:
            return Step(gate, [_declined(f"this was {before} before")])
    if decision.verdict == "reject":
        rejected = m.Rejected(digest=digest, note=decision.note)
        return Step(_with(gate, digest, "rejected"), [Letter(to="coo", message=rejected)])
    letters = [Letter(to="coo", message=m.Approved(digest=digest, note=decision.note))]
    if digest in gate.raises:
        order = m.Raise(digest=digest, microusd=gate.raises[digest], asked=True)
        letters.insert(0, Letter(to="budget", message=order))
    return Step(_with(gate, digest, "approved"), letters)


def _raise_unasked(gate: Gate, decision: m.Decision) -> Step:
    """Raise as the CEO says; what the company asked for until now is answered by that."""
    if decision.digest in gate.requests:
        return Step(gate, [_declined("this was decided before")])
    if min(decision.raise_microusd, *decision.raise_tokens.values(), 0) < 0 or decision.verdict != "approve":
        return Step(gate, [_declined("a cap can only be raised")])
    order = m.Raise(
        digest=decision.digest,
        microusd=decision.raise_microusd,
        asked=False,
        tokens=decision.raise_tokens,
    )
    approved = m.Approved(digest=decision.digest, note=decision.note)
    gate = _with(_withdrawn(gate), decision.digest, "approved")
    return Step(gate, [Letter(to="budget", message=order), Letter(to="coo", message=approved)])


def _withdrawn(gate: Gate) -> Gate:
    """Withdraw every raise that is still open."""
    gone: dict[str, How] = {
        digest: "withdrawn" for digest in gate.raises if gate.requests[digest] in ("asked", "expired")
    }
    return Gate(requests={**gate.requests, **gone}, raises=gate.raises)


def _with(gate: Gate, digest: str, how: How) -> Gate:
    requests: dict[str, How] = {**gate.requests, digest: how}
    decided = [one for one, how in requests.items() if how not in ("asked", "expired") and one != digest]
    for one in decided[: max(0, len(requests) - MAX_REQUESTS)]:
        del requests[one]
    return Gate(requests=requests, raises={one: by for one, by in gate.raises.items() if one in requests})


def _declined(reason: str) -> Letter:
    return Letter(to="ceo", message=m.Declined(reason=reason))


ROLE: Role[Gate] = Role(name="approval", version=4, state=Gate, handle=handle, is_over=lambda gate: gate.over)
