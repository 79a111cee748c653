"""What a provider of models is to the performer of calls: all that one file in `providers/` has to know."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from actors import messages as m
from actors.performers.model.pricing import Completion
from prompts.manager import Prompt


class ModelError(Exception):
    """A call that cannot be made or read. `error` is a constant word for the reply."""

    def __init__(self, error: str, detail: str) -> None:
        self.error = error
        self.detail = detail
        super().__init__(f"{error}: {detail}")


@dataclass(frozen=True)
class Request:
    """What a client is asked: the call it comes from, the rendered prompt, the bound of the answer.

    `attempt` names the hold that pays for it.
    """

    role: str
    call: m.Call
    prompt: Prompt
    nonce: str
    max_output_tokens: int
    attempt: str = ""


class Client(Protocol):
    """A provider."""

    def check(self, role: str, call: m.Call) -> None:
        """Say before any money moves whether this call can be answered at all.

        Raises:
            ModelError: it cannot.
        """
        ...

    async def complete(self, request: Request) -> Completion:
        """Ask the provider.

        Raises:
            NotSent: nothing was sent, or it was refused before any inference.
        """
        ...
