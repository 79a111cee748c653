"""`python -m sandbox.serving FD`: the process that starts sandboxes, for one that may not.

Whoever asks has given up the machine: it can start nothing and reach no engine. This process has both, and
nothing else: no password, no network, one socket on which it takes orders. Its limits come first and once.
It ends, with all that it runs, when the other side is gone.
"""

import asyncio
import contextlib
import signal
import socket
import sys

from sandbox import frames
from sandbox.choose import Backend, choose_backend
from sandbox.errors import RunUnderWay, Unavailable


class _Server:
    def __init__(self, begin: frames.Begin, writer: asyncio.StreamWriter) -> None:
        self._begin = begin
        self._writer = writer
        self._backend: Backend | None = None
        self._tasks: dict[int, asyncio.Task[None]] = {}

    async def serve(self, reader: asyncio.StreamReader) -> None:
        """Answer questions until the other side is gone."""
        most = frames.longest(self._begin.policy)
        try:
            while True:
                self._take(await frames.read_frame(reader, frames.Question, most))  # type: ignore[arg-type]  # a union is a type for msgspec
        except EOFError:
            pass
        finally:
            for task in self._tasks.values():
                task.cancel()
            await asyncio.gather(*self._tasks.values(), return_exceptions=True)
            if self._backend is not None:
                await self._backend.close()

    def _take(self, question: frames.Question) -> None:
        if isinstance(question, frames.Cancel):
            if task := self._tasks.get(question.number):
                task.cancel()
            return
        task = asyncio.create_task(self._answer(question))
        self._tasks[question.number] = task
        task.add_done_callback(lambda _: self._tasks.pop(question.number, None))

    async def _answer(self, question: frames.Question) -> None:
        number = question.number
        try:
            answer = await self._asked(question)
        except asyncio.CancelledError:
            answer = frames.Answer(number=number, trouble="cancelled")
        except Unavailable as error:
            answer = frames.Answer(number=number, trouble="unavailable", reason=error.reason, fix=error.fix)
        except RunUnderWay as error:
            answer = frames.Answer(number=number, trouble="under_way", reason=error.order_id)
        except Exception as error:
            answer = frames.Answer(number=number, trouble="failed", reason=f"{type(error).__name__}: {error}")
        self._writer.write(frames.frame(answer))

    async def _asked(self, question: frames.Question) -> frames.Answer:
        number = question.number
        if isinstance(question, frames.Choose):
            await self._close()
            self._backend = await choose_backend(self._begin.choice, self._begin.policy)
            return frames.Answer(number=number, name=self._backend.name)
        if isinstance(question, frames.Close):
            await self._close()
            return frames.Answer(number=number)
        if self._backend is None:
            raise Unavailable("no sandbox was chosen", "start the actor again")
        match question:
            case frames.Run():
                return frames.Answer(number=number, outcome=await self._backend.run(question.order))
            case frames.Sweep():
                swept = await self._backend.sweep(question.older_than_s)
                return frames.Answer(number=number, swept=swept)
            case frames.Describe():
                parts, notes = await self._backend.describe()
                return frames.Answer(number=number, parts=parts, notes=notes)
        raise Unavailable("a question that nobody asks", "start the actor again")

    async def _close(self) -> None:
        backend, self._backend = self._backend, None
        if backend is not None:
            await backend.close()


async def _main(end: socket.socket) -> None:
    reader, writer = await asyncio.open_connection(sock=end, limit=2**20)
    try:
        begin = await frames.read_frame(reader, frames.Begin, 2**20)
        await _Server(begin, writer).serve(reader)
    except EOFError:
        pass
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


def main(argv: list[str]) -> None:
    """Serve the socket whose number is the one argument, until its other end is closed."""
    for number in (signal.SIGTERM, signal.SIGINT):  # it ends when who asks has ended
        signal.signal(number, signal.SIG_IGN)
    asyncio.run(_main(socket.socket(fileno=int(argv[1]))))


if __name__ == "__main__":
    main(sys.argv)
