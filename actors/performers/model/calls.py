"""Serving the calls of one role: the performer and the providers that its models are of."""

from __future__ import annotations

from pathlib import Path

from actors.performers.model.catalog import ModelPart
from actors.performers.model.performer import ModelPerformer
from actors.performers.model.port import Client
from actors.performers.stage import Loop, Stage

MODEL_CALLS = 16
"""Calls that one role's process has out at once."""


def loop(stage: Stage, mailbox: str) -> Loop:
    """Return the loop that serves a role's calls."""
    part = stage.part("model", ModelPart)
    role = mailbox.removeprefix("model-")
    performer = ModelPerformer(role, stage.table, stage.carrier, part, clients(part), stage.nonce)
    return stage.serving(performer, MODEL_CALLS)


def clients(part: ModelPart) -> dict[str, Client]:
    """Return a client of every provider that a model is of; only those are imported."""
    from actors.performers.model.providers.scripted import ScriptedClient

    found: dict[str, Client] = {"scripted": ScriptedClient(Path(part.scripts) if part.scripts else None)}
    if any(terms.provider == "openai" for terms in part.models.values()):
        from actors.performers.model.providers.openai import OpenAIClient

        found["openai"] = OpenAIClient(part)
    return found
