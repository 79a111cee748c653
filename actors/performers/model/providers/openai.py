"""A client of an OpenAI-compatible endpoint: one streamed chat completion a call, nothing else.

The only module that opens HTTP to a model. It never retries: an attempt is one request, held for by the
guard. A failure says that nothing was spent only with proof; anything else leaves the attempt in doubt.
The key is read from the environment when a call is made, and stands in one header.
"""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from actors.messages import Call
from actors.performers.model.bill import NotSent, Refused
from actors.performers.model.port import ModelError, Request
from actors.performers.model.pricing import Completion
from actors.performers.model.providers.sse import Answer, BadStream, Lines, take
from actors.performers.model.usage import doubt, read
from actors.scrub import Scrubber
from config import endpoints

if TYPE_CHECKING:
    import aiohttp

    from actors.performers.model.catalog import ModelPart, ModelTerms

_REFUSALS = frozenset({400, 401, 402, 403, 404, 405, 409, 413, 415, 422, 429})
"""Answers that come before any inference, and so cost nothing; so do redirects, which are not followed."""

_STILL_LOADING = '"Loading model"'
"""What llama-server says in a 503 until it can serve at all; another 503 may come after inference."""

_DETAIL_BYTES = 2_000


class Refusal(Exception):
    """An answer other than 200, and what was said in it."""

    def __init__(self, status: int, said: str) -> None:
        self.status = status
        self.said = said
        super().__init__(status)


@dataclass(frozen=True, kw_only=True)
class Patience:
    """How long each step of a call may take, in seconds; the call as a whole ends before its hold.

    `idle_s` is between two events with data: a provider's keep-alive comments are none, which is why a
    socket's own time-out would be blind.
    """

    connect_s: float = 5.0
    headers_s: float = 30.0
    first_event_s: float = 90.0
    idle_s: float = 30.0


class OpenAIClient:
    """Calls the endpoint that a model's terms name."""

    def __init__(self, part: ModelPart, patience: Patience | None = None) -> None:
        self._models = part.models
        self._patience = patience or Patience()

    def check(self, role: str, call: Call) -> None:
        terms = self._models[call.model]
        if wrong := endpoints.problem(terms.base_url):
            raise ModelError("no_endpoint", f"models.catalog.{call.model}.base_url: {wrong}")
        if not terms.key_env:
            return
        key = os.environ.get(terms.key_env, "")
        if not key:
            raise ModelError("no_key", f"{terms.key_env} is not set where {role} runs")
        if not key.isascii() or not key.isprintable() or " " in key:
            why = "has a line end, a blank or another character that no key has"
            raise ModelError("no_key", f"{terms.key_env} {why}: set it again, then start the company anew")

    async def complete(self, request: Request) -> Completion:
        """Ask the provider and read its answer to the end.

        Raises:
            NotSent: no connection was made.
            Refused: it was refused before any inference.
            ModelError: it failed otherwise; what it cost is in doubt.
        """
        import aiohttp

        terms = self._models[request.call.model]
        key = os.environ.get(terms.key_env, "") if terms.key_env else ""
        words = Scrubber((key,))
        answer = Answer(request.max_output_tokens)
        timeout = aiohttp.ClientTimeout(total=None, connect=self._patience.connect_s)
        try:
            async with aiohttp.ClientSession(timeout=timeout, trust_env=False) as session:
                await self._ask(session, terms, key, request, answer)
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError, aiohttp.InvalidURL) as error:
            where = endpoints.place(terms.base_url)
            raise NotSent(f"no connection to {where}: {type(error).__name__}") from error
        except Refusal as refusal:
            raise _refusal(refusal.status, words.text(refusal.said)) from refusal
        except (aiohttp.ClientError, BadStream, OSError, ValueError) as error:  # a time-out is an OSError
            return _completion(answer, request, words.text(str(error)) or type(error).__name__)
        except asyncio.CancelledError:
            if not answer.is_whole:
                raise
            return _completion(answer, request, "cancelled")  # the bill came before we let go: it is booked
        return _completion(answer, request, "" if answer.finish else "the answer ended early")

    async def _ask(
        self, session: aiohttp.ClientSession, terms: ModelTerms, key: str, request: Request, answer: Answer
    ) -> None:
        headers = {"Idempotency-Key": request.attempt, "Accept-Encoding": "identity"}
        if key:
            headers["Authorization"] = f"Bearer {key}"
        url = f"{terms.base_url.rstrip('/')}/chat/completions"
        body = _body(terms.model or request.call.model, request)
        async with asyncio.timeout(self._patience.connect_s + self._patience.headers_s):
            response = await session.post(url, json=body, headers=headers, allow_redirects=False)
        try:
            if response.status != 200:
                said = (await response.content.read(_DETAIL_BYTES)).decode("utf-8", "replace")
                raise Refusal(response.status, said)
            await self._read(response, answer)
        finally:
            response.close()  # not released: a provider stops writing, and billing, when we are gone

    async def _read(self, response: aiohttp.ClientResponse, answer: Answer) -> None:
        """Take in event after event; silence for too long ends the call."""
        lines, loop = Lines(), asyncio.get_running_loop()
        async with asyncio.timeout(self._patience.first_event_s) as watchdog:
            async for chunk in response.content.iter_any():
                for data in lines.feed(chunk):
                    take(data, answer)
                    watchdog.reschedule(loop.time() + self._patience.idle_s)
        for data in lines.end():
            take(data, answer)
        answer.closed = True


def _body(model: str, request: Request) -> dict[str, Any]:
    return {
        "model": model,
        "messages": [
            {"role": "system", "content": request.prompt.system},
            {"role": "user", "content": request.prompt.user},
        ],
        "max_tokens": request.max_output_tokens,
        "stream": True,
        "stream_options": {"include_usage": True},
    }


def _refusal(status: int, said: str) -> Exception:
    """Return what an answer other than 200 means; the provider's words are shown."""
    said = " ".join(said.split())[:300]
    if status in _REFUSALS or 300 <= status < 400 or (status == 503 and _STILL_LOADING in said):
        return Refused(f"HTTP {status}: {said}")
    return ModelError("provider_failed", f"HTTP {status}: {said}; what it cost is in doubt")


def _completion(answer: Answer, request: Request, failure: str) -> Completion:
    """Return what came; without a bill it cannot be booked, and stays in doubt.

    Raises:
        ModelError: the provider did not say what was used.
    """
    counted = answer.counted
    if counted.microusd is None and (counted.prompt is None or counted.completion is None):
        why = failure or "the answer came without usage"
        raise ModelError("not_billed", f"{why}; what it cost is in doubt")
    reading = read(counted)
    prompt = len(request.prompt.system.encode()) + len(request.prompt.user.encode())
    why = doubt(
        counted, reading, prompt_bytes=prompt, size_bytes=answer.size_bytes, most=answer.max_output_tokens
    )
    return Completion(
        text=answer.text,
        input_tokens=reading.input_tokens,
        output_tokens=reading.output_tokens,
        cached_tokens=reading.cached_tokens,
        microusd=counted.microusd,
        failure=failure,
        cut=answer.finish == "length",
        doubt=why if answer.is_whole else why or "the stream was cut behind its usage",
    )
