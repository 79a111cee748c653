"""The orders a worker has out, and what becomes of them while its mission is held.

While held nothing is sent: orders are parked. What a performer dropped is sent again, as a new order that
names the old one, on `go_on`, or at once if the worker is not held.
"""

from __future__ import annotations

import msgspec

from actors.messages import Call, Execute
from bus.envelope import Letter, Mail


class Orders(msgspec.Struct, frozen=True, kw_only=True):
    """Orders by label: a call's turn, a run's name. `parked` maps a label to the id it retries, or ""."""

    model: str
    held: bool = False
    calls: dict[str, Call] = {}
    runs: dict[str, Execute] = {}
    parked: dict[str, str] = {}

    def _letter(self, label: str, retry_of: str = "") -> Letter:
        if label in self.calls:
            return Letter(to=self.model, message=self.calls[label], retry_of=retry_of)
        return Letter(to="sandbox", message=self.runs[label], retry_of=retry_of)

    def send(self, *orders: Call | Execute) -> tuple[Orders, list[Letter]]:
        """Send orders, or park them while held."""
        calls = {order.turn: order for order in orders if isinstance(order, Call)}
        runs = {order.run: order for order in orders if isinstance(order, Execute)}
        known = msgspec.structs.replace(self, calls={**self.calls, **calls}, runs={**self.runs, **runs})
        labels = [*calls, *runs]
        if self.held:
            parked = {**self.parked, **dict.fromkeys(labels, "")}
            return msgspec.structs.replace(known, parked=parked), []
        return known, [known._letter(label) for label in labels]

    def done(self, label: str) -> Orders:
        """Forget an order that was answered."""
        return msgspec.structs.replace(
            self, calls=_without(self.calls, label), runs=_without(self.runs, label)
        )

    def park(self, label: str, answer: Mail) -> Orders:
        """Keep an order that was answered without being performed, until told to go on."""
        return msgspec.structs.replace(self, parked={**self.parked, label: _order_id(answer)})

    def dropped(self, label: str, answer: Mail) -> tuple[Orders, list[Letter]]:
        """Deal with an order that a performer dropped."""
        if self.held:
            return self.park(label, answer), []
        return self, [self._letter(label, _order_id(answer))]

    def hold(self) -> Orders:
        return msgspec.structs.replace(self, held=True)

    def go_on(self) -> tuple[Orders, list[Letter]]:
        """Send everything that is parked."""
        letters = [self._letter(label, old) for label, old in self.parked.items() if self.is_out(label)]
        return msgspec.structs.replace(self, held=False, parked={}), letters

    def is_out(self, label: str) -> bool:
        return label in self.calls or label in self.runs


def _without(orders: dict, label: str) -> dict:  # type: ignore[type-arg]
    return {name: order for name, order in orders.items() if name != label}


def _order_id(answer: Mail) -> str:
    """Return the id of the order that a mail answers: its cause is `<sender>/<id>`."""
    return answer.cause.partition("/")[2]
