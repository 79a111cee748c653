"""Random messages of any type of a table, as big as is wanted: what generators of tests begin with."""

from __future__ import annotations

from random import Random
from typing import Any

import msgspec
from msgspec import inspect

_LETTERS = 'abcdefghijklmnopqrstuvwxyz 0123456789\n\t"\\é€😀'


def text_of(chance: Random, most: int) -> str:
    """Return a random text of any script, up to so many characters."""
    piece = "".join(chance.choice(_LETTERS) for _ in range(chance.randint(1, 40)))
    return (piece * (most // len(piece) + 1))[: chance.randint(0, most)]


def message_of(kind: type[msgspec.Struct], chance: Random, most_chars: int = 20) -> msgspec.Struct:
    """Return a random message of a type; each of its texts has up to `most_chars` characters."""
    value = _value(inspect.type_info(kind), chance, most_chars, 0)
    return msgspec.json.decode(msgspec.json.encode(value), type=kind)


def _value(wanted: inspect.Type, chance: Random, most: int, depth: int) -> Any:
    match wanted:
        case inspect.StrType():
            return text_of(chance, most)
        case inspect.IntType():
            return chance.randint(0, 10**9)
        case inspect.FloatType():
            return chance.random()
        case inspect.BoolType():
            return chance.random() < 0.5
        case inspect.NoneType():
            return None
        case inspect.LiteralType(values=values):
            return chance.choice(values)
        case inspect.UnionType(types=types):
            return _value(chance.choice(types), chance, most, depth)
        case inspect.VarTupleType(item_type=item) | inspect.ListType(item_type=item):
            return [_value(item, chance, most, depth + 1) for _ in range(_few(chance, depth))]
        case inspect.DictType(key_type=key, value_type=item):
            pairs = range(_few(chance, depth))
            return {_value(key, chance, 20, 9): _value(item, chance, most, depth + 1) for _ in pairs}
        case inspect.StructType(fields=fields):
            return {
                field.encode_name: _value(field.type, chance, most, depth + 1)
                for field in fields
                if field.required or chance.random() < 0.8
            }
        case inspect.RawType():
            return {"total": chance.randint(0, 9)}
    raise TypeError(f"there is no generator for {wanted}")


def _few(chance: Random, depth: int) -> int:
    return chance.randint(0, 3 if depth < 3 else 1)
