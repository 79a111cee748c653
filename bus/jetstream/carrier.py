"""One connection of one principal: publishing, reading, and asking the JetStream API.

nats-py has no batched direct get, so it is done here with raw requests. A violation of permissions reaches
nats-py only as a text on the error callback: here it ends the process.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import random
import time
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, TypeVar

from bus import blobs, subjects
from bus.envelope import Outgoing, Stored
from bus.errors import NotPermitted, NotSetUp, PublishRefused, Unknown, Unreachable, WrongCredentials
from bus.jetstream.codes import refusal
from bus.jetstream.direct import Read, stored_in
from bus.jetstream.natspy import Client, Msg, apart, nats
from bus.jetstream.pull import Pull
from bus.ports import Handler, Leases, PubAck
from bus.structured import structlog
from bus.subjects import Filter, Subject

log = structlog.get_logger("bus")

T = TypeVar("T")

_ANSWER_S = 5.0
_FORBIDDEN = "coo.authority"
"""A subject that is in nobody's list and in no stream."""


class JetStreamCarrier:
    """One connection of one principal."""

    ordered_reads = True
    guarded = True
    """Whether the broker can tell who writes, as far as whoever connected has found out."""

    def __init__(self, principal: str, inbox: str) -> None:
        self.principal = principal
        self._prefix = inbox
        self._refused: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.epoch = 1
        self.nc = Client()
        self.leases: Leases = _Untold()
        self._pulls: list[Pull] = []
        self._failed: asyncio.Future[BaseException] = asyncio.get_running_loop().create_future()
        self._reads: dict[str, Read] = {}
        self._acks: dict[str, asyncio.Future[Msg]] = {}
        self._tokens = itertools.count()

    async def open(self, url: str, name: str, credentials: dict[str, Any]) -> None:
        connecting = self.nc.connect(
            url,
            name=name,
            inbox_prefix=self._prefix.encode(),
            max_reconnect_attempts=-1,
            reconnect_time_wait=0.1 + random.random() * 0.2,  # type: ignore[arg-type]  # takes floats
            ping_interval=15,
            max_outstanding_pings=2,
            connect_timeout=2,
            pending_size=16 * 1024 * 1024,
            error_cb=self._on_error,
            reconnected_cb=self._on_reconnect,
            **credentials,
        )
        await apart(connecting)
        self._inbox = self.nc.new_inbox()
        await self.nc.subscribe(
            f"{self._inbox}.*", cb=self._on_answer, pending_msgs_limit=-1, pending_bytes_limit=-1
        )

    # -- what the connection says -------------------------------------------------------------------

    async def _on_error(self, error: Exception) -> None:
        text = str(error)
        if "permissions violation" in text.lower() and _FORBIDDEN in text:
            if not self._refused.done():
                self._refused.set_result(None)
        elif "permissions violation" in text.lower():
            self._fail(NotPermitted(self.principal, text.removeprefix("nats: ")))
        elif "authorization violation" in text.lower():
            self._fail(WrongCredentials(str(self.nc.connected_url or ""), self.principal))
        else:
            log.debug("connection.error", error=text or type(error).__name__)

    async def _on_reconnect(self) -> None:
        self.epoch += 1
        log.info("connection.restored", principal=self.principal)
        asked: list[asyncio.Future[Any]] = [*self._acks.values(), *(r.done for r in self._reads.values())]
        for answer in asked:  # what was on its way is asked again now, not after its time-out
            if not answer.done():
                answer.set_exception(TimeoutError("the connection was lost"))
        for pull in self._pulls:
            await pull.renew_all()

    def _fail(self, error: BaseException) -> None:
        if not self._failed.done():
            self._failed.set_result(error)

    async def failed(self) -> BaseException:
        return await asyncio.shield(self._failed)

    def now_ns(self) -> int:
        return time.time_ns()

    async def is_confined(self) -> bool:
        """Find out whether the broker holds this login to a list of subjects, by trying one on none.

        The message reaches nobody and is stored nowhere; the server logs the refusal.
        """
        token = f"p{next(self._tokens)}"
        nobody = self._acks[token] = asyncio.get_running_loop().create_future()
        either: list[asyncio.Future[Any]] = [nobody, self._refused]
        try:
            await self.nc.publish(_FORBIDDEN, b"", f"{self._inbox}.{token}")
            # One of them comes. A refusal may come after the pong of a later ping, so a flush would not do.
            await asyncio.wait(either, timeout=_ANSWER_S, return_when=asyncio.FIRST_COMPLETED)
            return self._refused.done()
        finally:
            del self._acks[token]

    # -- writing ------------------------------------------------------------------------------------

    async def publish(self, message: Outgoing) -> PubAck:
        if self._failed.done():
            raise self._failed.result()
        await blobs.before(self, message)
        token = f"p{next(self._tokens)}"
        answer = self._acks[token] = asyncio.get_running_loop().create_future()
        headers = dict(message.headers)
        try:
            await self.nc.publish(message.subject, message.body, f"{self._inbox}.{token}", headers)
            msg = await self._or_failure(answer)
        except (nats.errors.MaxPayloadError, nats.errors.BadSubjectError) as error:
            raise PublishRefused(message.subject, 0, str(error)) from error  # it did not leave this process
        except (TimeoutError, nats.errors.Error) as error:
            raise Unknown(f"{message.subject}: {error or 'no answer'}") from error
        finally:
            del self._acks[token]
        if (msg.headers or {}).get("Status") == "503":
            await asyncio.sleep(0.05)  # the text of a violation may still be on its way
            if self._failed.done():
                raise self._failed.result()
            raise Unknown(f"no stream answers for {message.subject}")
        answer_of: dict[str, Any] = json.loads(msg.data)
        if (refused := answer_of.get("error")) is not None:
            raise refusal(self.principal, message.subject, refused)
        return PubAck(answer_of["seq"], answer_of.get("duplicate", False))

    async def _or_failure(self, future: Awaitable[T]) -> T:
        """Wait for an answer, or for the error that explains why there will be none."""
        answer = asyncio.ensure_future(future)
        either: list[asyncio.Future[Any]] = [answer, self._failed]
        await asyncio.wait(either, timeout=_ANSWER_S, return_when=asyncio.FIRST_COMPLETED)
        if answer.done():
            return answer.result()
        answer.cancel()
        if self._failed.done():
            raise self._failed.result()
        raise TimeoutError("no answer")

    # -- reading ------------------------------------------------------------------------------------

    async def read(
        self, stream: str, pattern: Filter, start: int, batch: int = 256, *, whole: bool = True
    ) -> list[Stored]:
        page = await self._ask(stream, {"seq": start, "next_by_subj": pattern, "batch": batch})
        return await blobs.whole_page(self, page) if whole else page

    async def last(self, stream: str, subject: Subject) -> Stored | None:
        found = await self._ask(stream, {"last_by_subj": subject})
        return await blobs.whole(self, found[0]) if found else None

    async def newest(self, stream: str, pattern: Filter) -> int:
        found = await self._ask(stream, {"last_by_subj": pattern})
        return found[0].seq if found else 0

    async def get(self, stream: str, seq: int) -> Stored | None:
        found = await self._ask(stream, {"seq": seq})
        return found[0] if found else None

    async def _ask(self, stream: str, request: dict[str, Any]) -> list[Stored]:
        """Do a direct get; repeated until the server answers, since reading twice is harmless."""
        body = json.dumps(request).encode()
        pause = 0.05
        while True:
            token = f"r{next(self._tokens)}"
            read = self._reads[token] = Read("batch" not in request)
            try:
                await self.nc.publish(f"$JS.API.DIRECT.GET.{stream}", body, f"{self._inbox}.{token}")
                return await self._or_failure(read.done)
            except (TimeoutError, nats.errors.Error) as error:
                log.debug("read.repeated", stream=stream, error=str(error))
            except NotSetUp:
                if pause > 1.0:
                    raise
            finally:
                del self._reads[token]
            await asyncio.sleep(pause * random.uniform(0.5, 1.5))
            pause = min(pause * 2, 2.0)

    async def _on_answer(self, msg: Msg) -> None:
        token = msg.subject.rsplit(".", 1)[1]
        if (ack := self._acks.get(token)) is not None and not ack.done():
            ack.set_result(msg)
        elif (read := self._reads.get(token)) is not None and not read.done.done():
            read.take(msg)

    # -- consuming ----------------------------------------------------------------------------------

    async def consume(self, stream: str, consumer: str, window: int, handler: Handler) -> Pull:
        pull = Pull(self, stream, consumer, window, handler)
        await pull.start()
        self._pulls.append(pull)
        return pull

    async def listen(self, mailbox: str, on_mail: Callable[[Stored], None]) -> None:
        async def hint(msg: Msg) -> None:
            if (stored := stored_in(msg)) is not None:
                on_mail(stored)

        await self.nc.subscribe(subjects.hint_filter(mailbox), cb=hint)
        with contextlib.suppress(nats.errors.Error, TimeoutError):  # it is sent again at a reconnect
            await apart(self.nc.flush(timeout=2))

    def consumer_failed(self, error: BaseException) -> None:
        self._fail(error)

    async def api(self, subject: str, request: dict[str, Any]) -> dict[str, Any]:
        """Ask the JetStream API and return its answer, an error as the server words it included.

        Raises:
            NotPermitted: this principal may not ask that.
            Unreachable: no answer.
        """
        try:
            asked = apart(self.nc.request(subject, json.dumps(request).encode(), timeout=_ANSWER_S))
            answer: dict[str, Any] = json.loads((await self._or_failure(asked)).data)
        except (TimeoutError, nats.errors.Error) as error:
            raise Unreachable(f"JetStream does not answer {subject}: {error or 'time-out'}") from error
        return answer

    async def give_back(self, ack_subjects: Iterable[str]) -> None:
        """Nak what a process that died had been delivered. What was acked meanwhile stays acked.

        Raises:
            Unreachable: the connection is gone.
        """
        try:
            for subject in ack_subjects:
                await self.nc.publish(subject, b"-NAK")
        except (OSError, nats.errors.Error) as error:
            raise Unreachable(str(error)) from error

    async def close(self) -> None:
        with contextlib.suppress(nats.errors.Error, TimeoutError, OSError):
            async with asyncio.timeout(2):
                await apart(self.nc.flush(timeout=2))
        await apart(self.nc.close())


class _Untold:
    """Nobody gives back what this process holds."""

    def taken(self, ack_subject: str) -> None: ...

    def settled(self, ack_subject: str, *, handled: bool) -> None: ...
