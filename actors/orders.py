"""The orders a worker has out, and what becomes of them while its mission is held, and when it is over.

While held nothing is sent: orders are parked. What a performer dropped is sent again, as a new order that
names the old one, on `go_on`; at once only if the pause it was dropped for has ended by a `go_on` that was
here before. After the end nothing is sent again, whatever comes.
"""

from __future__ import annotations

import msgspec

from actors.messages import Call, Close, Execute, GoOn, Outcome, Reply
from bus.envelope import Letter, Mail

MAX_MESSAGES = 5_000
"""Messages to a worker since the CEO last had its mission go on; at so many it stops and says so."""


class Orders(msgspec.Struct, frozen=True, kw_only=True):
    """Orders by label: a call's turn, a run's name. `parked` maps a label to the id it retries, or "".

    `went_on` is where the newest `go_on` was decided, `messages` counts what came since, `over` is final.
    """

    model: str
    held: bool = False
    calls: dict[str, Call] = {}
    runs: dict[str, Execute] = {}
    parked: dict[str, str] = {}
    went_on: int = 0
    messages: int = 0
    over: bool = False

    @property
    def exhausted(self) -> bool:
        """Whether the mission does not come to an end here: nothing is sent until it goes on."""
        return self.messages >= MAX_MESSAGES

    def take(self, mail: Mail) -> Orders:
        """Count a message, and note the end of the mission, told or named by a drop."""
        message = mail.message
        dropped = isinstance(message, Reply | Outcome) and message.status == "dropped" and message.final
        if self.over or dropped or isinstance(message, Close):
            return Orders(model=self.model, over=True)
        if isinstance(message, GoOn):
            return msgspec.structs.replace(self, messages=0)
        taken = msgspec.structs.replace(self, messages=self.messages + 1)
        return taken._hold_all() if taken.exhausted else taken

    def none(self) -> Orders:
        """Forget every order, and keep what is known of the mission."""
        return msgspec.structs.replace(self, calls={}, runs={}, parked={})

    def _hold_all(self) -> Orders:
        """Hold, and keep what is out until told to go on: its answer is not waited for."""
        out = dict.fromkeys([*self.calls, *self.runs], "")
        return msgspec.structs.replace(self, held=True, parked={**out, **self.parked})

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
        """Deal with an order that a performer dropped for a pause."""
        assert isinstance(answer.message, Reply | Outcome)
        if self.held or answer.message.status_seq > self.went_on:
            return self.park(label, answer), []
        return self, [self._letter(label, _order_id(answer))]

    def hold(self) -> Orders:
        return msgspec.structs.replace(self, held=True)

    def go_on(self, at: int = 0) -> tuple[Orders, list[Letter]]:
        """Send everything that is parked; `at` is where that was decided."""
        letters = [self._letter(label, old) for label, old in self.parked.items() if self.is_out(label)]
        return msgspec.structs.replace(self, held=False, parked={}, went_on=at), letters

    def is_out(self, label: str) -> bool:
        return label in self.calls or label in self.runs


def _without(orders: dict, label: str) -> dict:  # type: ignore[type-arg]
    return {name: order for name, order in orders.items() if name != label}


def _order_id(answer: Mail) -> str:
    """Return the id of the order that a mail answers: its cause is `<sender>/<id>`."""
    return answer.cause.partition("/")[2]
