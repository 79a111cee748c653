"""The model performer: renders a prompt, pays for a call, reads the answer, stores its files.

It hosts any client of a provider: the money path, the prompts and the reading are the same for all.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Mapping
from dataclasses import replace

import msgspec

from actors import messages as m
from actors.performers.model.bill import (
    Bill,
    CutOff,
    Grant,
    NoMoney,
    NotSent,
    Paid,
    Price,
    Spent,
    TooManyAttempts,
)
from actors.performers.model.catalog import ModelPart, ModelTerms
from actors.performers.model.port import Client, ModelError, Request
from actors.performers.model.pricing import affordable, bill_of, booked, worst_of
from actors.performers.model.purse import Purse
from bus import blobs
from bus.envelope import Mail
from bus.errors import BlobMismatch
from bus.loops.halts import Halt
from bus.ports import Carrier
from bus.structured import structlog
from bus.table import Table
from prompts.manager import Prompt, PromptError, PromptManager

log = structlog.get_logger("actors")

VERSION = 3

_TEMPLATE_TOKENS = 256 + 2 * 32
"""Allowance for what a provider's chat template adds to a system and a user message."""

_SHOWN_BYTES = 160 * 1024
"""How much of a workspace a prompt shows; files beyond it are named while there is room."""

_TOKEN_BYTES = 3
"""What a token takes of a prompt, rather too little: English and programs have more bytes a token."""

_NAMED_BYTES = 40
"""What naming a file takes besides its name."""

_MAX_REPLY_BYTES = 1024 * 1024
"""A quarter of what a letter may hold: what a role builds of several answers still fits into one."""


class ModelPerformer:
    """Serves the calls of one role with that role's models."""

    version = VERSION

    def __init__(
        self,
        role: str,
        table: Table,
        carrier: Carrier,
        part: ModelPart,
        clients: Mapping[str, Client],
        nonce: str,
    ) -> None:
        self.name = f"model-{role}"
        self._role = role
        self._carrier = carrier
        self._part = part
        self._clients = clients
        self._prompts = PromptManager()
        self._purse = Purse(self.name, VERSION, table, carrier, nonce)

    async def close(self) -> None:
        """Nothing is held between calls."""

    def dropped(self, order: Mail, halt: Halt) -> msgspec.Struct:
        call = order.message
        assert isinstance(call, m.Call)
        return _reply(call, "dropped", status_seq=halt.at, final=halt.final)

    def failed(self, order: Mail, why: str) -> msgspec.Struct:
        call = order.message
        assert isinstance(call, m.Call)
        return _reply(call, "failed", error="killed", detail=why)

    async def perform(self, order: Mail) -> msgspec.Struct:
        call = order.message
        assert isinstance(call, m.Call)
        try:
            return await self._call(order, call)
        except NoMoney as error:
            return _reply(call, "refused", refusal=error.refusal)
        except (ModelError, PromptError, BlobMismatch) as error:
            word = error.error if isinstance(error, ModelError) else "bad_call"
            detail = error.detail if isinstance(error, ModelError) else str(error)
            log.warning("call.failed", mission=order.mission, turn=call.turn, error=word, detail=detail)
            return _reply(call, "failed", error=word, detail=detail[:2000])

    async def _call(self, order: Mail, call: m.Call) -> m.Reply:
        terms = self._part.models.get(call.model)
        if terms is None:
            raise ModelError("unknown_model", f"no price or no model {call.model}: coo config show --origin")
        if terms.stale_from_ns is not None and self._carrier.now_ns() >= terms.stale_from_ns:
            raise ModelError("stale_price", f"the price of {call.model} is too old: coo prices shows it")
        client = self._clients[terms.provider]
        client.check(self._role, call)
        request = await self._request(order, call, terms)
        paid = await self._pay(order, terms, client, request)
        usage = m.Usage(
            model=call.model,
            provider=terms.provider,
            prompt=request.prompt.name,
            prompt_sha256=request.prompt.sha256,
            input_tokens=paid.bill.input_tokens,
            output_tokens=paid.bill.output_tokens,
            microusd=paid.bill.microusd,
            attempts=paid.attempt,
        )
        try:
            reply = await self._read(call, paid.text, request.nonce, usage)
            if len(msgspec.json.encode(reply)) > _MAX_REPLY_BYTES:
                raise ModelError("invalid_answer", "the answer is longer than a message may be")
            return reply
        except ModelError as error:
            return _reply(call, "failed", usage=usage, error=error.error, detail=error.detail[:2000])

    async def _pay(self, order: Mail, terms: ModelTerms, client: Client, request: Request) -> Paid:
        prompt = request.prompt
        bound = len(prompt.system.encode()) + len(prompt.user.encode()) + _TEMPLATE_TOKENS
        worst = worst_of(terms, bound, request.max_output_tokens)
        if worst <= 0 or terms.input_picousd_per_token <= 0 or terms.output_picousd_per_token <= 0:
            raise ModelError("no_price", f"{request.call.model} has no price: no call")
        least = request.max_output_tokens  # what was cut off once is not asked for in part again
        if not await self._purse.was_cut(order):
            least = min(terms.min_output_tokens, least)
        tokens = bound + request.max_output_tokens
        price = Price(worst, worst_of(terms, bound, least), terms.timeout_s, tokens)

        async def complete(grant: Grant) -> tuple[str, Bill]:
            tokens = min(request.max_output_tokens, affordable(terms, bound, grant.microusd))
            asked = replace(request, attempt=grant.attempt, max_output_tokens=tokens)
            began_ns = self._carrier.now_ns()
            answer = await client.complete(asked)
            bill = bill_of(terms, answer, began_ns, self._carrier.now_ns())
            bill = booked(bill, answer, grant)
            if answer.failure:
                raise Spent(answer.failure, bill)
            if answer.cut and tokens < request.max_output_tokens:
                raise CutOff(bill, grant)
            return answer.text, bill

        try:
            return await self._purse.pay(order, price, complete)
        except NotSent as error:
            raise ModelError(error.proof, str(error)) from error
        except CutOff as error:
            scope, left = error.grant.limited_by, error.grant.microusd
            raise NoMoney(m.Refusal(scope=scope, needed_microusd=worst, remaining_microusd=left)) from error
        except Spent as error:
            raise ModelError("cut_short", f"{error}; what it cost is booked") from error
        except TooManyAttempts as error:
            raise ModelError("too_many_attempts", str(error)) from error
        except TimeoutError as error:
            why = f"no answer in {terms.timeout_s} s; what it cost is in doubt"
            raise ModelError("timeout", why) from error

    async def _request(self, order: Mail, call: m.Call, terms: ModelTerms) -> Request:
        """Render the prompt; with the answer it fits into what the model can take in.

        Raises:
            ModelError: it leaves no room for an answer.
        """
        nonce = hashlib.sha256(order.id.encode()).hexdigest()[:16]
        wanted = self._prompts.variables(self._role, call.turn)
        variables = dict(call.variables)
        if "nonce" in wanted:
            variables["nonce"] = nonce
        most = min(call.max_output_tokens, terms.max_output_tokens)
        if "files" in wanted:
            bare = self._prompts.render(self._role, call.turn, {**variables, "files": ""})
            room = (terms.context_tokens - most - _tokens(bare)) * _TOKEN_BYTES
            variables["files"] = await self._show(call.files, min(_SHOWN_BYTES, room))
        prompt = self._prompts.render(self._role, call.turn, variables)
        left = terms.context_tokens - _tokens(prompt)
        if left < min(most, terms.min_output_tokens):
            long, room = _tokens(prompt), terms.context_tokens
            why = f"the prompt has about {long} tokens, and {call.model} takes in {room} with its answer"
            raise ModelError("too_long", f"{why}: give this role a model that takes in more")
        return Request(
            role=self._role, call=call, prompt=prompt, nonce=nonce, max_output_tokens=min(most, left)
        )

    async def _show(self, files: m.Manifest, room: int) -> str:
        """Write a workspace as text for a prompt, in so many bytes, smaller files first."""
        parts = []
        for n, (path, ref) in enumerate(sorted(files.items(), key=lambda item: (item[1].size, item[0]))):
            room -= len(path.encode()) + _NAMED_BYTES
            if room < 0:
                parts.append(f"({len(files) - n} more files are not named)")
                break
            if ref.size > room:
                parts.append(f"--- {path} ({ref.size} bytes, not shown)")
                continue
            room -= ref.size
            content = await blobs.get(self._carrier, ref)
            parts.append(f"--- {path}\n{content.decode('utf-8', 'replace')}")
        return "\n".join(parts) or "none"

    async def _read(self, call: m.Call, text: str, nonce: str, usage: m.Usage) -> m.Reply:
        from actors.performers.model import (
            replies,  # pydantic: not on an actor's import path until a model has answered
        )

        said = await replies.read(call.turn, text, nonce, self._store)
        return _reply(call, "answered", usage=usage, **said)

    async def _store(self, files: Mapping[str, bytes]) -> m.Manifest:
        from sandbox.paths import check_tree

        try:
            check_tree(frozenset(files))
        except ValueError as error:
            raise ModelError("invalid_answer", str(error)) from error
        refs = await asyncio.gather(*(blobs.put(self._carrier, self.name, files[path]) for path in files))
        return dict(zip(files, refs, strict=True))


def _tokens(prompt: Prompt) -> int:
    """Return about how many tokens a prompt has, rather too many."""
    written = len(prompt.system.encode()) + len(prompt.user.encode())
    return -(-written // _TOKEN_BYTES) + _TEMPLATE_TOKENS


def _reply(call: m.Call, status: str, **more: object) -> m.Reply:
    reply = m.Reply(
        turn=call.turn,
        number=call.number,
        rework=call.rework,
        round=call.round,
        status=status,  # type: ignore[arg-type]  # a word of m.Reply, as every caller writes it
    )
    return msgspec.structs.replace(reply, **more)
