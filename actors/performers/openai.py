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
from actors.performers.bill import NotSent, Refused
from actors.performers.model import ModelError, Request
from actors.performers.pricing import Completion
from actors.performers.stream import Answer, BadStream, Lines, take

if TYPE_CHECKING:
    import aiohttp

    from config.parts import ModelPart, ModelTerms

_REFUSALS = frozenset({400, 401, 402, 403, 404, 405, 413, 415, 422, 429})
"""Answers that come before any inference, and so cost nothing."""

_DETAIL_BYTES = 2_000


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
        if not terms.base_url.startswith(("https://", "http://")):
            raise ModelError("no_endpoint", f"models.catalog.{call.model}.base_url is no http address")
        if terms.key_env and not os.environ.get(terms.key_env):
            raise ModelError("no_key", f"{terms.key_env} is not set where {role} runs")

    async def complete(self, request: Request) -> Completion:
        """Ask the provider and read its answer to the end.

        Raises:
            NotSent: no connection was made.
            Refused: it was refused before any inference.
            ModelError: it failed otherwise; what it cost is in doubt.
        """
        import aiohttp

        terms = self._models[request.call.model]
        answer = Answer(request.max_output_tokens)
        timeout = aiohttp.ClientTimeout(total=None, connect=self._patience.connect_s)
        try:
            async with aiohttp.ClientSession(timeout=timeout, trust_env=False) as session:
                await self._ask(session, terms, request, answer)
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            raise NotSent(f"no connection to {terms.base_url}: {type(error).__name__}") from error
        except (aiohttp.ClientError, BadStream, TimeoutError) as error:
            return _completion(answer, str(error) or type(error).__name__)
        except asyncio.CancelledError:
            if not answer.is_billed:
                raise
            return _completion(answer, "cancelled")  # the bill came before we let go: it is booked
        return _completion(answer, "" if answer.finish else "the answer ended early")

    async def _ask(
        self, session: aiohttp.ClientSession, terms: ModelTerms, request: Request, answer: Answer
    ) -> None:
        key = os.environ.get(terms.key_env, "") if terms.key_env else ""
        headers = {"Idempotency-Key": request.attempt}
        if key:
            headers["Authorization"] = f"Bearer {key}"
        url = f"{terms.base_url.rstrip('/')}/chat/completions"
        body = _body(terms.model or request.call.model, request)
        async with asyncio.timeout(self._patience.connect_s + self._patience.headers_s):
            response = await session.post(url, json=body, headers=headers, allow_redirects=False)
        try:
            if response.status != 200:
                raise await _refusal(response, key)
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


async def _refusal(response: aiohttp.ClientResponse, key: str) -> Exception:
    """Return what an answer other than 200 means; the provider's words are shown, never the key."""
    said = (await response.content.read(_DETAIL_BYTES)).decode("utf-8", "replace")
    said = " ".join((said.replace(key, "…") if key else said).split())[:300]
    if response.status in _REFUSALS:
        return Refused(f"HTTP {response.status}: {said}")
    return ModelError("provider_failed", f"HTTP {response.status}: {said}; what it cost is in doubt")


def _completion(answer: Answer, failure: str) -> Completion:
    """Return what came; without a bill it cannot be booked, and stays in doubt.

    Raises:
        ModelError: the provider did not say what was used.
    """
    if answer.input_tokens is None or answer.output_tokens is None:
        why = failure or "the answer came without usage"
        raise ModelError("not_billed", f"{why}; what it cost is in doubt")
    return Completion(
        text="".join(answer.parts),
        input_tokens=answer.input_tokens,
        output_tokens=answer.output_tokens,
        cached_tokens=answer.cached_tokens,
        microusd=answer.microusd,
        failure=failure,
        cut=answer.finish == "length",
    )
