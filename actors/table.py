"""The kind table of the company: who writes what to whom, as one value.

Subjects, consumers, permissions and the server's configuration follow from it.
"""

from __future__ import annotations

from actors import messages as m
from bus.table import Halts, Mailbox, Row, Table, own_rows, rows


def _model_of(role: str) -> Mailbox:
    """Return the mailbox of a role's model, which lives in the role's own process."""
    return Mailbox(
        name=f"model-{role}",
        process=role,
        orders=("call",),
        served_by="actors.performers.model.calls:loop",
        needs=("model",),
    )


CALLERS = ("coo", "engineer", "qa")
"""Roles that have a model of their own."""

MAILBOXES = (
    Mailbox(name="coo", process="coo", served_by="actors.roles.coo.role:ROLE"),
    _model_of("coo"),
    Mailbox(name="engineer", process="engineer", served_by="actors.roles.engineer:ROLE"),
    _model_of("engineer"),
    Mailbox(name="qa", process="qa", served_by="actors.roles.qa:ROLE"),
    _model_of("qa"),
    Mailbox(name="budget", process="budget", per="company", served_by="actors.roles.budget.role:ROLE"),
    Mailbox(name="approval", process="approval", served_by="actors.roles.approval:ROLE"),
    Mailbox(
        name="sandbox",
        process="sandbox",
        orders=("execute",),
        served_by="actors.performers.programs:loop",
        needs=("sandbox",),
    ),
    Mailbox(
        name="clock",
        process="clock",
        orders=("wake", "close"),
        per="company",
        served_by="actors.performers.clock:loop",
    ),
)

TOLD_OF_THE_END = ("budget", "engineer", "qa", "approval", "clock")
"""Whoever may still work for a mission when it ends."""

_WORKERS = ("engineer", "qa")
_MODELS = tuple(f"model-{role}" for role in CALLERS)
_SLEEPERS = ("coo", "approval", "budget")


def _rows() -> tuple[Row, ...]:
    return (
        *rows("mission", "ceo", "coo", m.Mission),
        *rows("control", "ceo", "coo", m.Control),
        *rows("limits", "ceo", "budget", m.Limits),
        *rows("settings", "ceo", "ceo", m.CompanySettings),
        *rows("decision", "ceo", "approval", m.Decision),
        *rows("task", "coo", _WORKERS, m.Task),
        *rows("hold_work", "coo", _WORKERS, m.HoldWork),
        *rows("go_on", "coo", _WORKERS, m.GoOn),
        *rows("result", _WORKERS, "coo", m.Result),
        *rows("execute", _WORKERS, "sandbox", m.Execute),
        *rows("outcome", "sandbox", _WORKERS, m.Outcome),
        *rows("reserve", _MODELS, "budget", m.Reserve),
        *rows("sent", _MODELS, "budget", m.Sent),
        *rows("settle", _MODELS, "budget", m.Settle),
        *rows("void", _MODELS, "budget", m.Void),
        *rows("granted", "budget", _MODELS, m.Granted),
        *rows("refused", "budget", _MODELS, m.Refused),
        *rows("open", "coo", "budget", m.Open),
        *rows("opened", "budget", "coo", m.Opened),
        *rows("queued", "budget", "coo", m.Queued),
        *rows("park", "coo", "budget", m.Park),
        *rows("close", "coo", TOLD_OF_THE_END, m.Close),
        *rows("raise", "approval", "budget", m.Raise),
        *rows("raised", "budget", "coo", m.Raised),
        *rows("frozen", "budget", "coo", m.Frozen),
        *rows("request", "coo", "approval", m.Request),
        *rows("approved", "approval", "coo", m.Approved),
        *rows("rejected", "approval", "coo", m.Rejected),
        *rows("expired", "approval", "coo", m.Expired),
        *rows("declined", ("coo", "approval"), "ceo", m.Declined),
        *rows("status", "coo", "ceo", m.Status),
        *rows("wake", _SLEEPERS, "clock", m.Wake),
        *rows("tick", "clock", _SLEEPERS, m.Tick),
        *own_rows(MAILBOXES, "coo"),
    )


def _calls() -> tuple[Row, ...]:
    """Return the rows between a role and its model."""
    table: list[Row] = []
    for role, model in zip(CALLERS, _MODELS, strict=True):
        table += rows("call", role, model, m.Call)
        table += rows("reply", model, role, m.Reply)
    return tuple(table)


TABLE = Table(rows=(*_rows(), *_calls()), mailboxes=MAILBOXES, people=("ceo",), errors_to="coo")

HALTS = Halts(
    sender="coo",
    to="ceo",
    kind="status",
    at=lambda status: status.at if isinstance(status, m.Status) else -1,
    halted=lambda status: isinstance(status, m.Status) and status.state in m.PAUSED | m.FINAL,
    final=lambda status: isinstance(status, m.Status) and status.state in m.FINAL,
    end="close",
)
"""How performers learn that a mission is paused or over."""
