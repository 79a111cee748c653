"""The post office: what a role is made of. Whoever writes one needs no more than these names.

    def handle(state, mail): return Step(state, [Letter(to="ceo", message=Verse("…"))])
    ROLE = Role(name="poet", version=1, state=Desk, handle=handle)

Everything here is pure. What carries mail is in `bus.jetstream` and `bus.memory`, what serves a mailbox in
`bus.loops`, what a server needs in `bus.server`.
"""

from bus.envelope import Letter, Mail
from bus.fold import Role, Step
from bus.table import Mailbox, Ref, Row, Table, rows

__all__ = ["Letter", "Mail", "Mailbox", "Ref", "Role", "Row", "Step", "Table", "rows"]
