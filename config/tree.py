"""The shape of the settings tree: which keys there are."""

from collections.abc import Iterator
from difflib import get_close_matches
from typing import get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo


def leaves(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, FieldInfo]]:
    """Yield the dotted key and the field of every setting; a key of the user's choice is `<name>`."""
    for name, field in model.model_fields.items():
        below, key = field.annotation, f"{prefix}{name}"
        if get_origin(below) is dict:
            below, key = get_args(below)[1], f"{key}.<name>"
        if (section := _section(below)) is not None:
            yield from leaves(section, f"{key}.")
        else:
            yield key, field


def _section(annotation: object) -> type[BaseModel] | None:
    """Return the section that a field holds, also one that may be left out."""
    for one in (annotation, *get_args(annotation)):
        if isinstance(one, type) and issubclass(one, BaseModel):
            return one
    return None


def suggestion(model: type[BaseModel], path: tuple[str, ...]) -> str | None:
    """Return the key that was probably meant by the unknown key at `path`: a sibling, or one elsewhere."""
    *parents, wrong = path
    siblings = get_close_matches(wrong, _keys_at(model, parents), n=1)
    if siblings:
        return siblings[0]
    elsewhere = {key.rpartition(".")[2]: key for key, _ in leaves(model)}
    found = get_close_matches(wrong, elsewhere, n=1, cutoff=0.8)
    return elsewhere[found[0]] if found else None


def _keys_at(model: type[BaseModel], parents: list[str]) -> list[str]:
    node: object = model
    for name in parents:
        if get_origin(node) is dict:
            node = get_args(node)[1]
        elif (section := _section(node)) is not None and name in section.model_fields:
            node = section.model_fields[name].annotation
    found = _section(node)
    return list(found.model_fields) if found is not None else []
