"""The import graph of the product, drawn from every import in it: no circle, and no arrow up."""

from __future__ import annotations

import ast
import tomllib
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

from sources import FILES, ROOT, nodes


def modules() -> dict[str, Path]:
    found = {}
    for path in FILES:
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        found[name.removesuffix(".__init__")] = path
    return found


@cache
def graph() -> dict[str, set[str]]:
    """Return what each module imports, wherever in it: at its top, in a function, for types alone."""
    known = modules()
    arrows: dict[str, set[str]] = {}
    for name, path in known.items():
        arrows[name] = set()
        for node in nodes(path):
            if isinstance(node, ast.Import):
                arrows[name].update(one.name for one in node.names if one.name in known)
            elif isinstance(node, ast.ImportFrom) and node.module:
                assert node.level == 0, f"{name} imports relatively"
                for one in node.names:
                    inner = f"{node.module}.{one.name}"
                    arrows[name].add(inner if inner in known else node.module)
        arrows[name] &= known.keys() - {name}
        # What a package says of itself may come from what is in it.
        arrows[name] -= {name.rpartition(".")[0]}
    return arrows


def test_no_file_imports_itself_through_others() -> None:
    tuple(TopologicalSorter(graph()).static_order())  # raises CycleError, which names the circle


def test_every_arrow_goes_down() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"][
        "contracts"
    ]
    floors = {c["containers"][0]: c["layers"] for c in contracts if c["type"] == "layers"}
    assert floors.keys() == {"actors", "bus", "sandbox"}
    up = []
    for package, layers in floors.items():
        height = {
            f"{package}.{room.strip()}": number
            for number, layer in enumerate(reversed(layers))
            for room in layer.split("|")
        }
        for name, below in graph().items():
            for other in below:
                here, there = (".".join(one.split(".")[:2]) for one in (name, other))
                if here != there and {here, there} <= height.keys() and height[here] <= height[there]:
                    up.append(f"{name} -> {other}")
    assert not up
