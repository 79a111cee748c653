"""What is kept of a run of the work, byte for byte: how a marker reads it, wherever it is marked."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import sandbox

SHOWN_CHARS = 4_000
"""How much of each stream an outcome carries: its end, where an error stands."""

_CONTROLS = {code: "\ufffd" for code in range(32) if chr(code) not in "\n\t"} | {0x7F: "\ufffd"}


def recorded(outcome: sandbox.Outcome) -> dict[str, bytes]:
    """Return a run's exit code, or the word for an end that has none, and its streams.

    A stream of which something is missing has its start alone.
    """
    ended = outcome.status in ("ok", "failed")
    streams = {"stdout": outcome.stdout, "stderr": outcome.stderr}
    shown = {name: stream.head.encode() if stream.cut else stream.content for name, stream in streams.items()}
    return {"exit_code": (str(outcome.exit_code) if ended else outcome.status).encode(), **shown}


def kept(outcome: sandbox.Outcome, keep: Collection[str]) -> dict[str, bytes]:
    """Return those files of some paths that a run made or changed."""
    return {file.path: file.content for file in outcome.files if file.path in keep}


def end_of(stream: sandbox.Stream) -> str:
    """Return the end of a stream without control characters, which would grow sixfold in JSON."""
    text = stream.tail or stream.head
    return text[-SHOWN_CHARS:].translate(_CONTROLS)
