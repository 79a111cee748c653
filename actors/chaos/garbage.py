"""Bodies that somebody writes who wants to do harm: from valid and effective to no JSON at all."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable
from random import Random
from typing import Any

import msgspec
from msgspec import inspect

_INTEGERS = (0, 1, 2, -1, 7, 255, 10**6, 10**9, 2**31, 2**53, 2**63 - 1, 2**63, -(2**63), 2**64, 10**20)
_TEXTS = (
    "",
    "x",
    "..",
    "/etc/passwd",
    "m-1",
    "*",
    ">",
    "\x1b]0;x\x07",
    "\u202e\u2066",
    "é" * 40,
    "y" * 9_000,
)
_ODD: tuple[Any, ...] = (None, True, -1, 1.5, 2**63, "", "x", [], {}, [[]], {"": 0}, "9" * 40)
_KEPT = 40


class Garbage:
    """Makes bodies. `hear` what others wrote, and some of what is made fits to it."""

    def __init__(self, chance: Random) -> None:
        self._chance = chance
        self._heard: dict[str, list[Any]] = defaultdict(list)

    def hear(self, body: bytes) -> None:
        """Remember the values of a body by the names of their fields."""
        try:
            self._remember("", msgspec.json.decode(body))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return

    def _remember(self, name: str, value: Any) -> None:
        if isinstance(value, dict):
            for key, inner in value.items():
                self._remember(key, inner)
        known = self._heard[name]
        if value not in known:
            known.append(value)
            del known[:-_KEPT]

    def body(self, message: type[msgspec.Struct], heard: bytes | None) -> bytes:
        """Return a body for a message type; `heard` is one that somebody honest wrote, if there was any."""
        chance = self._chance
        if heard is not None and chance.random() < 0.4:
            value = _decoded(heard)
        else:
            value = self._value(inspect.type_info(message), "")
        for _ in range(chance.choice((0, 0, 1, 1, 2, 4))):
            value = self._changed(value)
        body = json.dumps(value, separators=(",", ":"), ensure_ascii=chance.random() < 0.5)
        encoded = body.encode("utf-8", "surrogatepass")
        return self._broken(encoded) if chance.random() < 0.3 else encoded

    # -- values ---------------------------------------------------------------------------------------

    def _value(self, kind: inspect.Type, name: str) -> Any:
        heard = self._heard.get(name)
        if heard and self._chance.random() < 0.5:
            return self._chance.choice(heard)
        return self._made(kind, name)

    def _made(self, kind: inspect.Type, name: str) -> Any:
        chance = self._chance
        match kind:
            case inspect.IntType():
                return chance.choice(_INTEGERS)
            case inspect.BoolType():
                return chance.random() < 0.5
            case inspect.LiteralType(values=values):
                return chance.choice(values)
            case inspect.StrType():
                return chance.choice(_TEXTS)
            case inspect.UnionType(types=kinds):
                return self._value(chance.choice(kinds), name)
            case inspect.VarTupleType(item_type=inner):
                return [self._value(inner, "") for _ in range(chance.choice((0, 1, 2)))]
            case inspect.DictType(value_type=inner):
                return {chance.choice(_TEXTS): self._value(inner, "") for _ in range(chance.choice((0, 1)))}
            case inspect.StructType(fields=fields):
                given = [f for f in fields if f.required or chance.random() < 0.5]
                return {field.encode_name: self._value(field.type, field.encode_name) for field in given}
            case _:
                return chance.choice(_ODD)

    def _changed(self, value: Any) -> Any:
        """Return a value in which one place is another."""
        chance = self._chance
        if isinstance(value, dict) and value and chance.random() < 0.9:
            key = chance.choice(list(value))
            changed = dict(value)
            match chance.randrange(5):
                case 0:
                    del changed[key]
                case 1:
                    changed[chance.choice(("version", "x", ""))] = chance.choice(_ODD)
                case 2:
                    changed[key] = chance.choice(self._heard.get(key) or _ODD)
                case _:
                    changed[key] = self._changed(changed[key])
            return changed
        if isinstance(value, list) and value and chance.random() < 0.8:
            at = chance.randrange(len(value))
            return [*value[:at], self._changed(value[at]), *value[at + 1 :]]
        if isinstance(value, int) and chance.random() < 0.7:
            return chance.choice((*_INTEGERS, value + 1, -value))
        return chance.choice(_ODD)

    # -- bytes ----------------------------------------------------------------------------------------

    def _broken(self, body: bytes) -> bytes:
        """Return what is hardly a body any more."""
        ways: tuple[Callable[[bytes], bytes], ...] = (
            lambda body: b"",
            lambda body: body[: self._chance.randrange(len(body) + 1)],
            lambda body: body + body,
            lambda body: b"\xef\xbb\xbf" + body,
            lambda body: body.replace(b'":"', b'":"\xff\xfe', 1),
            lambda body: body.replace(b'":"', b'":"\\ud800', 1),
            lambda body: body.replace(b":", b":" + b"9" * 4_400 + b",", 1),
            lambda body: body.replace(b"}", b',"x":1e999}', 1),
            lambda body: body.replace(b"{", b'{"deep":' + b"[" * 5_000 + b"]" * 5_000 + b",", 1),
            lambda body: b"[" * 100_000,
            lambda body: b" " * 70_000 + body,
            lambda body: b"NaN",
            lambda body: self._chance.randbytes(self._chance.randrange(1, 200)),
        )
        return self._chance.choice(ways)(body)


def _decoded(body: bytes) -> Any:
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
