"""The layers settings come from: packaged files, the user's file, the environment, options.

Each layer keeps where every key stands, so that an error can name the file and the line.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from functools import cache
from pathlib import Path

import yaml
from pydantic_settings import BaseSettings, EnvSettingsSource
from pydantic_settings.exceptions import SettingsError

Key = tuple[str, ...]

PREFIX = "COO_"
DELIMITER = "__"
PACKAGED = ("company.yaml", "models.yaml", "prices.yaml", "sandbox.yaml", "approvals.yaml")


@dataclass(frozen=True)
class Place:
    """Where a key stands: a file with a line, an environment variable, or an option."""

    source: str
    line: int | None = None

    def __str__(self) -> str:
        return self.source if self.line is None else f"{self.source}:{self.line}"


@dataclass(frozen=True)
class Problem:
    """One thing wrong with the settings; as text, the line a person is shown."""

    place: Place
    message: str

    def __str__(self) -> str:
        return f"{self.place}: {self.message}"


class ConfigError(Exception):
    """The settings cannot be used. Every problem is one line; nothing was started."""

    def __init__(self, problems: list[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(map(str, problems)))


@dataclass(frozen=True)
class Layer:
    """The settings of one source, and the place of each of their keys."""

    values: dict[str, object] = field(default_factory=dict)
    places: dict[Key, Place] = field(default_factory=dict)


class _Loader(yaml.SafeLoader):
    """YAML without anchors: a settings file needs none, and they can nest without end."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]  # not in the stubs
            raise yaml.composer.ComposerError(None, None, "aliases (*name) are not supported", mark)
        return super().compose_node(parent, index)


@cache
def packaged_layers() -> tuple[Layer, ...]:
    """Return the defaults that come with the package, one layer a file."""
    folder = Path(__file__).parent
    return tuple(file_layer(folder / name, f"config/{name}") for name in PACKAGED)


def file_layer(path: Path, name: str) -> Layer:
    """Read a YAML file of settings; `name` is what errors call it.

    Decimals stay exact: `20.00` is read as a Decimal, never as a float.

    Raises:
        ConfigError: it cannot be read, is not YAML, is not a mapping, or says a key twice.
    """
    try:
        loader = _Loader(path.read_text(encoding="utf-8"))
        root = loader.get_single_node()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise ConfigError([Problem(Place(name), f"cannot be read: {reason}")]) from error
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        place = Place(name, mark.line + 1 if mark else None)
        raise ConfigError([Problem(place, f"not YAML: {error.problem}")]) from error
    except yaml.YAMLError as error:  # such as a control character, which has no line
        raise ConfigError([Problem(Place(name), f"not YAML: {str(error).splitlines()[0]}")]) from error
    if root is None:
        return Layer()
    if not isinstance(root, yaml.MappingNode):
        raise ConfigError([Problem(Place(name, 1), "must be sections with keys, such as `limits:`")])
    reader = _Reader(loader, name)
    values = reader.mapping(root, ())
    if reader.problems:
        raise ConfigError(reader.problems)
    return Layer({key: value for key, value in values.items() if value is not None}, reader.places)


class _Reader:
    """Turns YAML nodes into values, and notes where each stands."""

    def __init__(self, loader: _Loader, name: str) -> None:
        self.places: dict[Key, Place] = {}
        self.problems: list[Problem] = []
        self._loader = loader
        self._name = name

    def mapping(self, node: yaml.MappingNode, path: Key) -> dict[str, object]:
        values: dict[str, object] = {}
        for key_node, value_node in node.value:
            place = Place(self._name, key_node.start_mark.line + 1)
            if not isinstance(key_node, yaml.ScalarNode):
                self.problems.append(Problem(place, "a key must be plain text"))
                continue
            key = key_node.value
            if key in values:
                self.problems.append(Problem(place, f'key "{key}" is there twice'))
            self.places[*path, key] = place
            values[key] = self._value(value_node, (*path, key))
        return values

    def _value(self, node: yaml.Node, path: Key) -> object:
        match node:
            case yaml.MappingNode():
                return self.mapping(node, path)
            case yaml.SequenceNode():
                return [self._value(item, (*path, str(n))) for n, item in enumerate(node.value)]
            case _:
                return self._scalar(node)

    def _scalar(self, node: yaml.Node) -> object:
        try:
            if node.tag == "tag:yaml.org,2002:float":
                return Decimal(node.value)
            return self._loader.construct_object(node)
        except (InvalidOperation, ValueError):  # such as .nan, or the 40th of a month
            return node.value
        except yaml.YAMLError:
            self.problems.append(
                Problem(Place(self._name, node.start_mark.line + 1), f"unknown tag {node.tag}")
            )
            return None


def environment_layer(tree: type[BaseSettings]) -> Layer:
    """Read the variables `COO_<section>__<key>`; a `COO_` name without `__` is some command's own business.

    Raises:
        ConfigError: a variable names no section, or is not the JSON that a list or a section must be.
    """
    places = {path: Place(name) for name, path in _variables(tree)}
    unknown = [p for p in places if p[0] not in tree.model_fields]
    if unknown:
        message = f"names no setting; sections are {', '.join(tree.model_fields)}"
        raise ConfigError([Problem(places[path], message) for path in unknown])
    try:
        layer = Layer(EnvSettingsSource(tree)(), places)
    except SettingsError as error:
        hint = """a list is written as JSON, such as '["release"]'"""
        raise ConfigError([Problem(Place("environment"), f"{error}; {hint}")]) from error
    for path in list(places):
        _spread(path, layer)
    return layer


def _spread(path: Key, layer: Layer) -> None:
    """Give the keys inside a variable that holds a whole section as JSON the place of the variable."""
    value: object = layer.values
    for name in path:
        value = value.get(name) if isinstance(value, Mapping) else None
    for name in value if isinstance(value, Mapping) else ():
        below = (*path, str(name))
        layer.places.setdefault(below, layer.places[path])
        _spread(below, layer)


def _variables(tree: type[BaseSettings]) -> Iterator[tuple[str, Key]]:
    for name, value in sorted(os.environ.items()):
        path = tuple(name[len(PREFIX) :].lower().split(DELIMITER))
        is_setting = len(path) > 1 or path[0] in tree.model_fields
        if value and name.upper().startswith(PREFIX) and is_setting:
            yield name, path


def option_layer(overrides: Mapping[str, object]) -> Layer:
    """Return what the command line asked for, a nested mapping shaped like the tree."""
    layer = Layer()
    layer.values.update(_copied(overrides, (), layer.places))
    return layer


def _copied(values: Mapping[str, object], path: Key, places: dict[Key, Place]) -> dict[str, object]:
    copy: dict[str, object] = {}
    for key, value in values.items():
        here = (*path, key)
        places[here] = Place(f"option {'.'.join(here)}")
        copy[key] = _copied(value, here, places) if isinstance(value, Mapping) else value
    return copy


def merged(layers: Sequence[Layer]) -> dict[str, object]:
    """Return the values of all layers in one tree; later layers win, key by key."""
    tree: dict[str, object] = {}
    for layer in layers:
        _merge(tree, layer.values)
    return tree


def _merge(tree: dict[str, object], values: Mapping[str, object]) -> None:
    for key, value in values.items():
        below = tree.get(key)
        if isinstance(value, Mapping):
            branch = dict(below) if isinstance(below, Mapping) else {}
            _merge(branch, value)
            tree[key] = branch
        else:
            tree[key] = value


def place_of(path: Key, layers: list[Layer]) -> Place | None:
    """Return where the winning value of `path` was set, or None if it was set nowhere."""
    found = (layer.places[path] for layer in reversed(layers) if path in layer.places)
    return next(found, None)


def place_near(path: Key, layers: list[Layer]) -> Place:
    """Return where `path` was set, or else something below it, or else the nearest section it belongs to."""
    for length in range(len(path), 0, -1):
        near = path[:length]
        for layer in reversed(layers):
            below = (place for key, place in layer.places.items() if key[:length] == near)
            place = layer.places.get(near) or next(below, None)
            if place is not None:
                return place
    return Place("settings")
