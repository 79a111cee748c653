"""The part of the settings that one actor process is handed, as JSON.

Plain msgspec values: this module is on every actor's import path, where pydantic has no place.
"""

from typing import Literal

import msgspec


class LogPart(msgspec.Struct, frozen=True, kw_only=True):
    """What is logged. `secret_env` names the environment variables whose values are scrubbed."""

    level: Literal["debug", "info", "warning", "error"]
    secret_env: tuple[str, ...]


class ActorConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything one actor process is told.

    `bus` is how mail is carried. `parts` has the parts that its mailboxes need, by name, and `own` what
    stands under `actors.<its name>`. Each is JSON that only its owner reads, with a type of its own.
    """

    bus: msgspec.Raw
    log: LogPart
    parts: dict[str, msgspec.Raw] = {}
    own: msgspec.Raw = msgspec.Raw(b"{}")


def decode(data: bytes) -> ActorConfig:
    """Return the configuration in `data`, as `config.split.part` wrote it.

    Raises:
        msgspec.ValidationError: the JSON is not an `ActorConfig`.
        msgspec.DecodeError: it is not JSON.
    """
    return msgspec.json.decode(data, type=ActorConfig)
