"""What Engineer and QA have in common: the orders that are out, and what becomes of them.

While held nothing is sent: orders are parked. What a performer dropped is sent again, as a new order that
names the old one, on `go_on`; at once only if the pause it was dropped for has ended by a `go_on` that was
here before. After the end nothing is sent again, whatever comes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, TypeVar

import msgspec

from actors.messages import (
    Call,
    Close,
    Execute,
    GoOn,
    HoldWork,
    Outcome,
    Refusal,
    Reply,
    Result,
    Task,
)
from bus.envelope import Letter, Mail
from bus.fold import Step

T = TypeVar("T")

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


class Bench(Protocol):
    """What every worker's state has: the task at hand, and the orders it has out."""

    @property
    def task(self) -> Task | None: ...

    @property
    def orders(self) -> Orders: ...


B = TypeVar("B", bound=Bench)


def _with(bench: B, orders: Orders) -> B:
    state: Any = bench
    changed: B = msgspec.structs.replace(state, orders=orders)
    return changed


def handle(
    bench: B, mail: Mail, decide: Callable[[B, Mail], Step], exhausted: Callable[[B, Mail], Step]
) -> Step:
    """Take a mail into account as every worker does, and let it decide the rest.

    `exhausted` decides where the mission has had too many messages and does not come to an end.
    """
    orders = bench.orders.take(mail)
    if orders.over:
        empty: Any = type(bench)
        return Step(empty(orders=orders))
    bench = _with(bench, orders)
    if orders.exhausted:
        return exhausted(bench, mail)
    match mail.message:
        case HoldWork():
            return Step(_with(bench, bench.orders.hold()))
        case GoOn():
            orders, letters = bench.orders.go_on(mail.at)
            return Step(_with(bench, orders), letters)
    return decide(bench, mail)


def without_end(bench: Bench, who: str) -> Step:
    """Say once that there is no end, and to each task that comes then; the rest waits for `go_on`."""
    if bench.task is None:
        return Step(bench)
    why = f"{who} has had {bench.orders.messages} messages: the mission does not come to an end"
    return report(bench, bench.task, "stuck", reason=why, fix="coo cancel it, or coo resume it")


def dropped(bench: Bench, label: str, mail: Mail) -> Step:
    """Deal with an order that a performer dropped: it is sent again, at once or when told to go on."""
    orders, letters = bench.orders.dropped(label, mail)
    return Step(_with(bench, orders), letters)


def report(
    bench: Bench,
    task: Task,
    status: str,
    *,
    reason: str = "",
    fix: str = "",
    refusal: Refusal | None = None,
    **shown: Any,
) -> Step:
    """Tell the COO what came of a task; `shown` are the fields of `Result` that this worker fills in."""
    result = Result(
        number=task.number,
        rework=task.rework,
        status=status,  # type: ignore[arg-type]  # a word of Result, as every caller writes it
        reason=reason,
        fix=fix,
        refusal=refusal,
        **shown,
    )
    return Step(bench, [Letter(to="coo", message=result)])


def _without(orders: dict[str, T], label: str) -> dict[str, T]:
    return {name: order for name, order in orders.items() if name != label}


def _order_id(answer: Mail) -> str:
    """Return the id of the order that a mail answers: its cause is `<sender>/<id>`."""
    return answer.cause.partition("/")[2]
