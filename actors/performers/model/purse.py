"""The money path of one call: reserve, sent, call, settle. No byte goes out without a hold.

Everything an attempt went through is in the log, so a process that takes over an order goes on from there:
a grant nobody used is adopted, an answer that was paid for is used, and an attempt that somebody sent and
did not settle is waited out and left in doubt.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Literal

import msgspec

from actors import messages as m
from actors.performers.model.attempts import Attempt, attempts_at, note, ordinal_of
from actors.performers.model.bill import Bill, Grant, NoMoney, NotSent, Paid, Price, Spent, TooManyAttempts
from bus import blobs, subjects
from bus.envelope import Cause, Mail, Stored, readable, seal
from bus.errors import DecisionChanged
from bus.loops.hints import Hints
from bus.loops.publisher import publish_surely
from bus.ports import Behind, Carrier
from bus.structured import structlog
from bus.subjects import MAIL_STREAM
from bus.table import Ref, Table

log = structlog.get_logger("actors")

_GRACE_S = 3
"""How much longer a hold lasts than the call it is for, so that no call outlives its hold."""

_MARGIN_S = 0.5
"""How long before its hold's expiry a call is given up at the latest."""

_MAX_SENT = 10
"""Attempts at one order that went out, over all processes that served it: each may cost its worst case."""


@dataclass(frozen=True)
class _Claim:
    """An attempt that this process, and no other, may send until its hold expires."""

    attempt: int
    granted: m.Granted


class Purse:
    """Pays for the calls of one model mailbox. The nonce names this process in `sent`."""

    def __init__(self, mailbox: str, version: int, table: Table, carrier: Carrier, nonce: str) -> None:
        self._mailbox = mailbox
        self._version = version
        self._table = table
        self._carrier = carrier
        self._nonce = nonce
        self._hints = Hints(carrier, mailbox)

    async def pay(
        self, order: Mail, price: Price, call: Callable[[Grant], Awaitable[tuple[str, Bill]]]
    ) -> Paid:
        """Make one call for an order, held at its price; or return what an earlier one was paid for.

        Raises:
            NoMoney: the guard refuses.
            NotSent: `call` said that nothing was sent; the hold was given back.
            Spent: `call` said what it cost all the same; that is settled.
            TooManyAttempts: others have tried too often.
            TimeoutError: no answer in time; the attempt stays in doubt, as after any other exception.
        """
        while True:
            found = await self._hold(order, price)
            if isinstance(found, Paid):
                return found
            n, granted = found.attempt, found.granted
            left_s = (granted.expires_ns - self._carrier.now_ns()) / 1e9 - _MARGIN_S
            if left_s > 0:
                break
            await self._surely(self._void(order, n, "not_sent"))  # this process stood still meanwhile
        try:
            async with asyncio.timeout(min(price.timeout_s, left_s)):
                text, bill = await call(Grant(granted.attempt, granted.microusd, granted.limited_by))
        except NotSent as error:
            await self._surely(self._void(order, n, error.proof))
            raise
        except Spent as error:
            await self._surely(self._settle(order, n, None, error.bill))
            raise
        await self._surely(self._settle(order, n, text, bill))
        return Paid(text, bill, n)

    async def was_cut(self, order: Mail) -> bool:
        """Say whether the order that this one retries was paid for without bringing an answer."""
        if not order.retry_of:
            return False
        attempts = await self._attempts(msgspec.structs.replace(order, id=order.retry_of, at=0))
        return any(a.settled is not None and a.settled.answer is None for a in attempts.values())

    async def _void(self, order: Mail, n: int, proof: Literal["not_sent", "refused_by_provider"]) -> None:
        void = m.Void(attempt=self._name(order, n), proof=proof, nonce=self._nonce)
        await self._write(order, void)

    async def _settle(self, order: Mail, n: int, text: str | None, bill: Bill) -> None:
        """Book a bill; without a text, nothing came of it that another process could use."""
        answer = None
        if text is not None:
            answer = await blobs.put(self._carrier, self._mailbox, text.encode("utf-8", "surrogatepass"))
        settle = m.Settle(
            attempt=self._name(order, n),
            microusd=bill.microusd,
            input_tokens=bill.input_tokens,
            output_tokens=bill.output_tokens,
            answer=answer,
            doubt=bill.doubt,
        )
        await self._write(order, settle)

    async def _surely(self, writing: Coroutine[Any, Any, object]) -> None:
        """See a booking through, also when the work is cancelled meanwhile."""
        task = asyncio.ensure_future(writing)
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError:
            await task
            raise

    async def _hold(self, order: Mail, price: Price) -> _Claim | Paid:
        """Get hold of an attempt that this process may send, or of an answer that was paid for."""
        looking, n = await self._hints.looking(), 0
        try:
            attempts = await self._attempts(order)
            while True:
                n = max(attempts, default=0)
                last = attempts.get(n)
                if last is not None and last.settled is not None and last.settled.answer is not None:
                    return await self._paid(last.settled, last.settled.answer, n)
                if last is None or self._is_over(last):
                    if sum(1 for one in attempts.values() if one.nonce and not one.voided) >= _MAX_SENT:
                        raise TooManyAttempts(f"{_MAX_SENT} attempts at {order.id} came to nothing")
                    n += 1
                    attempts[n] = Attempt()
                    await self._reserve(order, n, price)
                elif last.refused is not None:
                    raise NoMoney(last.refused.refusal)
                elif last.granted is not None and not last.nonce:
                    if await self._claim(order, n, last.granted, last.granted_at):
                        return await self._paid_meanwhile(order, n) or _Claim(n, last.granted)
                    attempts = await self._attempts(order)  # somebody else was first
                else:  # for the guard, or for the process that sent it
                    heard = await looking.wait()
                    for stored in heard:
                        note(attempts, stored, order.id, self._table)
                    if not heard:
                        attempts = await self._attempts(order)
        except asyncio.CancelledError:
            if n:  # leave the queue; what another process has sent meanwhile is not touched by this
                await self._surely(self._void(order, n, "not_sent"))
            raise
        finally:
            looking.close()

    async def _paid_meanwhile(self, order: Mail, n: int) -> Paid | None:
        """Look again, after our own `sent`, whether another attempt was settled, and give ours back then.

        What led to the claim may be a view that is minutes old, if this process stood still.
        """
        for number, attempt in (await self._attempts(order)).items():
            if attempt.settled is not None and attempt.settled.answer is not None:
                await self._surely(self._void(order, n, "not_sent"))
                return await self._paid(attempt.settled, attempt.settled.answer, number)
        return None

    async def _paid(self, settled: m.Settle, answer: Ref, n: int) -> Paid:
        text = (await blobs.get(self._carrier, answer)).decode("utf-8", "surrogatepass")
        bill = Bill(settled.microusd, settled.input_tokens, settled.output_tokens, settled.doubt)
        return Paid(text, bill, n)

    def _is_over(self, attempt: Attempt) -> bool:
        """Say whether nothing can come of an attempt; a claim and a call need some of a hold's time."""
        if attempt.voided or attempt.settled is not None:
            return True
        if attempt.granted is None:
            return False
        margin_ns = 0 if attempt.nonce else int(2 * _MARGIN_S * 1e9)
        return self._carrier.now_ns() >= attempt.granted.expires_ns - margin_ns

    async def _reserve(self, order: Mail, n: int, price: Price) -> None:
        reserve = m.Reserve(
            attempt=self._name(order, n),
            microusd=price.microusd,
            timeout_s=int(price.timeout_s + 0.999) + _GRACE_S,
            floor=0 if price.floor >= price.microusd else price.floor,
            tokens=price.tokens,
        )
        try:
            await self._write(order, reserve)
        except DecisionChanged as error:  # another version reserved another amount: that one counts
            log.warning("reserve.differs", error=str(error))

    async def _claim(self, order: Mail, n: int, granted: m.Granted, granted_at: int) -> bool:
        """Write `sent` and say whether it is the first word on this attempt, before the hold's expiry.

        All mail of the guard since the grant counts: its time is the greatest of them, so a clock that was
        put back gives nobody a right that the guard does not know of.
        """
        sent = m.Sent(attempt=granted.attempt, nonce=self._nonce, microusd=granted.microusd)
        seq = await self._write(order, sent)
        start, now_ns = granted_at, 0
        behind = Behind(MAIL_STREAM, seq)
        while True:  # a read is complete only when it returned what we know to be there
            everything = subjects.mailbox_filter("budget")
            page = await self._carrier.read(MAIL_STREAM, everything, start, whole=False)
            if not page:
                await behind.wait()
            for stored in page:
                start = stored.seq + 1
                now_ns = max(now_ns, stored.time_ns)
                if self._is_word_on(order, stored, granted.attempt):
                    return stored.seq == seq and now_ns < granted.expires_ns
                if stored.seq >= seq:
                    return False

    def _is_word_on(self, order: Mail, stored: Stored, attempt: str) -> bool:
        """Say whether a mail decides who may send an attempt: the first `sent` or `void` of this mailbox."""
        address = subjects.address_of(stored.subject)
        if address is None or (address.mission, address.sender) != (order.mission, self._mailbox):
            return False
        if address.kind not in ("sent", "void"):
            return False
        mail = readable(self._table, stored)
        message = mail.message if mail is not None else None
        return isinstance(message, m.Sent | m.Void) and message.attempt == attempt

    async def _attempts(self, order: Mail) -> dict[int, Attempt]:
        return await attempts_at(order, self._mailbox, self._table, self._carrier)

    def _name(self, order: Mail, n: int) -> str:
        return f"{order.id}.{n}"

    async def _write(self, order: Mail, message: msgspec.Struct) -> int:
        ordinal = ordinal_of(message, order.id)
        assert ordinal is not None
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
