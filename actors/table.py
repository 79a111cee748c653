"""The kind table of the company: who writes what to whom, as one value.

Subjects, consumers, permissions and the server's configuration follow from it.
"""

from __future__ import annotations

from actors import messages as m
from bus.authority import OPERATOR
from bus.performer import Halts
from bus.table import Buried, Checkpoint, Error, Mailbox, Released, Row, Table, rows

MAILBOXES = (
    Mailbox(name="coo", process="coo"),
    Mailbox(name="model-coo", process="coo", orders=("call",)),
    Mailbox(name="engineer", process="engineer"),
    Mailbox(name="model-engineer", process="engineer", orders=("call",)),
    Mailbox(name="qa", process="qa"),
    Mailbox(name="model-qa", process="qa", orders=("call",)),
    Mailbox(name="budget", process="budget", per="company"),
    Mailbox(name="approval", process="approval"),
    Mailbox(name="sandbox", process="sandbox", orders=("execute",)),
    Mailbox(name="clock", process="clock", orders=("wake",), per="company"),
)

_WORKERS = ("engineer", "qa")
_MODELS = ("model-coo", "model-engineer", "model-qa")
_SLEEPERS = ("coo", "approval", "budget")


def _rows() -> tuple[Row, ...]:
    table = [
        *rows("mission", "ceo", "coo", m.Mission),
        *rows("control", "ceo", "coo", m.Control),
        *rows("limits", "ceo", "budget", m.Limits),
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
        *rows("close", "coo", "budget", m.Close),
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
        *rows("error", [mailbox.name for mailbox in MAILBOXES], "coo", Error),
    ]
    roles = [mailbox.name for mailbox in MAILBOXES if not mailbox.orders]
    table += rows("buried", OPERATOR, roles, Buried)
    table += rows("released", OPERATOR, roles, Released)
    for model in _MODELS:
        role = model.removeprefix("model-")
        table += rows("call", role, model, m.Call)
        table += rows("reply", model, role, m.Reply)
    for mailbox in MAILBOXES:
        if not mailbox.orders or mailbox.name == "clock":
            table += rows("checkpoint", mailbox.name, mailbox.name, Checkpoint)
    return tuple(table)


TABLE = Table(rows=_rows(), mailboxes=MAILBOXES, people=("ceo",), errors_to="coo")

HALTS = Halts(
    sender="coo",
    to="ceo",
    kind="status",
    at=lambda status: status.at if isinstance(status, m.Status) else -1,
    halted=lambda status: isinstance(status, m.Status) and status.state in m.PAUSED | m.FINAL,
)
"""How performers learn that a mission is paused or over."""
