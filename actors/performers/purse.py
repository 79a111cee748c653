"""The money path of one call: reserve, sent, call, settle. No byte goes out without a hold.

Everything an attempt went through is in the log, so a process that takes over an order goes on from there:
a grant nobody used is adopted, an answer that was paid for is used, and an attempt that somebody sent and
did not settle is waited out and left in doubt.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Any

import msgspec

from actors import messages as m
from bus import blobs, subjects
from bus.envelope import Cause, Mail, open_mail, seal
from bus.errors import DecisionChanged
from bus.ports import Carrier
from bus.publisher import publish_surely
from bus.structured import structlog
from bus.subjects import MAIL_STREAM
from bus.table import Ref, Table

log = structlog.get_logger("actors")

_GRACE_S = 3
"""How much longer a hold lasts than the call it is for, so that no call outlives its hold."""

_MARGIN_S = 0.5
"""How long before its hold's expiry a call is given up at the latest."""

_FIRST_LOOK_S = 0.001
_LONGEST_LOOK_S = 0.5


class NotSent(Exception):
    """The call was never sent, or the provider refused it before any inference: it cost nothing."""


class NoMoney(Exception):
    """The guard refused."""

    def __init__(self, refusal: m.Refusal) -> None:
        self.refusal = refusal
        super().__init__(refusal.scope)


@dataclass(frozen=True)
class Bill:
    """What a call cost, as the provider says or as its tokens and prices give."""

    microusd: int
    input_tokens: int
    output_tokens: int


@dataclass(frozen=True)
class Paid:
    """An answer and what it cost, and the number of the attempt that brought it."""

    text: str
    bill: Bill
    attempt: int


@dataclass(frozen=True)
class _Claim:
    """An attempt that this process, and no other, may send until its hold expires."""

    attempt: int
    expires_ns: int


class Attempt(msgspec.Struct, kw_only=True):
    """What the log says of one attempt."""

    granted: m.Granted | None = None
    refused: m.Refused | None = None
    settled: m.Settle | None = None
    nonce: str = ""


class Purse:
    """Pays for the calls of one model mailbox. The nonce names this process in `sent`."""

    def __init__(self, mailbox: str, version: int, table: Table, carrier: Carrier) -> None:
        self._mailbox = mailbox
        self._version = version
        self._table = table
        self._carrier = carrier
        self._nonce = secrets.token_hex(8)

    async def pay(
        self,
        order: Mail,
        microusd: int,
        timeout_s: float,
        call: Callable[[], Awaitable[tuple[str, Bill]]],
    ) -> Paid:
        """Make one call for an order, held at `microusd`; or return what an earlier one was paid for.

        Raises:
            NoMoney: the guard refuses.
            NotSent: `call` said that nothing was sent; the hold was given back.
            TimeoutError: no answer in time; the attempt stays in doubt.
        """
        found = await self._hold(order, microusd, timeout_s)
        if isinstance(found, Paid):
            return found
        n = found.attempt
        left_s = (found.expires_ns - self._carrier.now_ns()) / 1e9 - _MARGIN_S
        try:
            async with asyncio.timeout(min(timeout_s, left_s)):
                text, bill = await call()
        except NotSent:
            void = m.Void(attempt=self._name(order, n), proof="not_sent")
            await self._surely(self._write(order, void, n))
            raise
        await self._surely(self._settle(order, n, text, bill))
        return Paid(text, bill, n)

    async def _settle(self, order: Mail, n: int, text: str, bill: Bill) -> None:
        answer = await blobs.put(self._carrier, self._mailbox, text.encode("utf-8", "replace"))
        settle = m.Settle(
            attempt=self._name(order, n),
            microusd=bill.microusd,
            input_tokens=bill.input_tokens,
            output_tokens=bill.output_tokens,
            answer=answer,
        )
        await self._write(order, settle, n)

    async def _surely(self, writing: Coroutine[Any, Any, object]) -> None:
        """See a booking through, also when the work is cancelled meanwhile."""
        task = asyncio.ensure_future(writing)
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError:
            await task
            raise

    async def _hold(self, order: Mail, microusd: int, timeout_s: float) -> _Claim | Paid:
        """Get hold of an attempt that this process may send, or of an answer that was paid for."""
        pause = _FIRST_LOOK_S
        while True:
            attempts = await self._attempts(order)
            n = max(attempts, default=0)
            last = attempts.get(n)
            if last is not None and last.settled is not None and last.settled.answer is not None:
                return await self._paid(last.settled, last.settled.answer, n)
            if last is None or self._has_expired(last):
                await self._reserve(order, n + 1, microusd, timeout_s)
                pause = _FIRST_LOOK_S
            elif last.refused is not None:
                raise NoMoney(last.refused.refusal)
            elif last.granted is not None and not last.nonce:
                if await self._claim(order, n, last.granted):
                    return _Claim(n, last.granted.expires_ns)
            else:
                await asyncio.sleep(pause)  # for the guard, or for the process that sent it
                pause = min(pause * 1.5, _LONGEST_LOOK_S)

    async def _paid(self, settled: m.Settle, answer: Ref, n: int) -> Paid:
        text = (await blobs.get(self._carrier, answer)).decode("utf-8", "replace")
        return Paid(text, Bill(settled.microusd, settled.input_tokens, settled.output_tokens), n)

    def _has_expired(self, attempt: Attempt) -> bool:
        """Say whether an attempt's time is over, with what a claim and a call need taken off."""
        if attempt.granted is None:
            return False
        margin_ns = 0 if attempt.nonce else int(2 * _MARGIN_S * 1e9)
        return self._carrier.now_ns() >= attempt.granted.expires_ns - margin_ns

    async def _reserve(self, order: Mail, n: int, microusd: int, timeout_s: float) -> None:
        hold_s = int(timeout_s + 0.999) + _GRACE_S
        reserve = m.Reserve(attempt=self._name(order, n), microusd=microusd, timeout_s=hold_s)
        try:
            await self._write(order, reserve, n)
        except DecisionChanged as error:  # another version reserved another amount: that one counts
            log.warning("reserve.differs", error=str(error))

    async def _claim(self, order: Mail, n: int, granted: m.Granted) -> bool:
        """Write `sent` and say whether it is the first one, logged before the hold's expiry."""
        sent = m.Sent(attempt=granted.attempt, nonce=self._nonce, microusd=granted.microusd)
        seq = await self._write(order, sent, f"{n}.{self._nonce}")
        pattern = subjects.mail(order.mission, "budget", "sent", self._mailbox)
        start = order.seq + 1
        while True:  # a read is complete only when it returned what we know to be there
            for stored in await self._carrier.read(MAIL_STREAM, pattern, start):
                start = stored.seq + 1
                message = open_mail(self._table, stored, stored.time_ns).message
                if isinstance(message, m.Sent) and message.attempt == granted.attempt:
                    return message.nonce == self._nonce and stored.time_ns < granted.expires_ns
                if stored.seq >= seq:
                    return False

    async def _attempts(self, order: Mail) -> dict[int, Attempt]:
        """Read what the log says of every attempt at an order, by its number."""
        attempts: dict[int, Attempt] = {}
        for pattern in (
            subjects.mail(order.mission, "budget", "*", self._mailbox),
            subjects.mail(order.mission, self._mailbox, "*", "budget"),
        ):
            start = order.seq + 1
            while page := await self._carrier.read(MAIL_STREAM, pattern, start):
                start = page[-1].seq + 1
                for stored in page:
                    self._note(attempts, open_mail(self._table, stored, stored.time_ns), order)
        return attempts

    def _note(self, attempts: dict[int, Attempt], mail: Mail, order: Mail) -> None:
        name = getattr(mail.message, "attempt", "")
        call_id, _, number = name.rpartition(".")
        if call_id != order.id or not number.isdigit():
            return
        attempt = attempts.setdefault(int(number), Attempt())
        match mail.message:
            case m.Granted() as granted:
                attempt.granted = granted
            case m.Refused() as refused:
                attempt.refused = refused
            case m.Sent(nonce=nonce):
                attempt.nonce = attempt.nonce or nonce
            case m.Settle() as settled:
                attempt.settled = attempt.settled or settled

    def _name(self, order: Mail, n: int) -> str:
        return f"{order.id}.{n}"

    async def _write(self, order: Mail, message: msgspec.Struct, ordinal: int | str) -> int:
        letter = seal(
            self._table,
            sender=self._mailbox,
            version=self._version,
            to="budget",
            mission=order.mission,
            message=message,
            cause=Cause(order.sender, order.id, order.seq, order.now_ns, ""),
            ordinal=ordinal,
        )
        return await publish_surely(self._carrier, letter)
