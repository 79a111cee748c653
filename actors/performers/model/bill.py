"""What a call is held for, what it cost, and the ways in which it comes to nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from actors import messages as m


class NotSent(Exception):
    """The call was never sent, or the provider refused it before any inference: it cost nothing.

    Only raised with proof: the connection was never made, or the answer says so before any token.
    """

    proof: Literal["not_sent", "refused_by_provider"] = "not_sent"


class Refused(NotSent):
    """The provider refused the call before any inference."""

    proof = "refused_by_provider"


class Spent(Exception):
    """The call failed, and it is known what it cost."""

    def __init__(self, why: str, bill: Bill) -> None:
        self.bill = bill
        super().__init__(why)


class CutOff(Spent):
    """The answer ended where the money did: it is paid for, and of no use."""

    def __init__(self, bill: Bill, grant: Grant) -> None:
        self.grant = grant
        super().__init__("the answer ended where the money did", bill)


class TooManyAttempts(Exception):
    """An order was tried so often that it is given up."""


class NoMoney(Exception):
    """The guard refused."""

    def __init__(self, refusal: m.Refusal) -> None:
        self.refusal = refusal
        super().__init__(refusal.scope)


@dataclass(frozen=True)
class Bill:
    """What a call cost, as the provider says or as its tokens and prices give.

    With a `doubt` the figures cannot be the bill, and the amount is at least what was held.
    """

    microusd: int
    input_tokens: int
    output_tokens: int
    doubt: str = ""


@dataclass(frozen=True)
class Paid:
    """An answer and what it cost, and the number of the attempt that brought it."""

    text: str
    bill: Bill
    attempt: int


@dataclass(frozen=True)
class Price:
    """What to hold for a call: the worst case, the least that is of use, and how long a call may take.

    `tokens` is the most that prompt and answer may have.
    """

    microusd: int
    floor: int
    timeout_s: float
    tokens: int = 0


@dataclass(frozen=True)
class Grant:
    """An attempt that this process, and no other, may send, for at most this much."""

    attempt: str
    microusd: int
    limited_by: str = ""
