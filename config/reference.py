"""Write the reference of all settings: `python -m config.reference > docs/configuration.md`."""

import re
import sys
from collections.abc import Iterator, Mapping
from datetime import date
from typing import Any, Literal, get_args, get_origin

from pydantic.fields import FieldInfo

from config.layers import DELIMITER, PREFIX, merged, packaged_layers
from config.settings import Settings
from config.tree import leaves

_INTRODUCTION = """\
# Configuration

<!-- Written by `python -m config.reference > docs/configuration.md` from the fields in config/. -->

Every setting has a default in a file that comes with the package. Later sources win, key by key:

1. the packaged files `config/company.yaml`, `models.yaml`, `prices.yaml`, `sandbox.yaml`, `approvals.yaml`;
2. your own file: `$XDG_CONFIG_HOME/coo/config.yaml`, which is `~/.config/coo/config.yaml` unless you set
   that variable, or the file named on the command line;
3. environment variables `COO_<SECTION>__<KEY>`, such as `COO_LIMITS__DAILY_USD=5.00`. Lists and whole
   sections are JSON (`COO_APPROVALS__ASK='["release"]'`), `null` is nothing, an empty variable is unset;
4. options on the command line.

Your file holds only what you change:

```yaml
limits:
  daily_usd: "5.00"
approvals:
  ask: [release]
```

An unknown key is an error that names the file and the line. `<name>` stands for a name of your choice.
Amounts of money are decimals with at most six places, and are never turned into floats. Secrets are read
from the environment only, under the names that `models.key_env` lists; no setting holds one.

What decides about a mission is what the company was started with: `coo up` publishes it in the log, and
`coo mission` takes it from there. Of a terminal's own file and variables `coo mission` says what does not
count. Its options win, but `--approve none` does not take away what `approvals.ask` asks for.
"""

_KINDS = {"usd": "US dollars", "bytes": "bytes", "s": "seconds", "days": "days", "mtok": "US dollars"}
"""What a number counts, by the last word of its key."""


def render() -> str:
    """Return the reference as Markdown: one table a section, one row a setting."""
    defaults = merged(packaged_layers())
    sections = [_section(name, field, defaults) for name, field in Settings.model_fields.items()]
    return "\n".join([_INTRODUCTION, *sections])


def _section(name: str, field: FieldInfo, defaults: Mapping[str, object]) -> str:
    keys = [(key, leaf) for key, leaf in leaves(Settings) if key.startswith(f"{name}.")]
    below = f"<NAME>{DELIMITER}<KEY>" if name == "actors" else "<KEY>"
    return "\n".join(
        [
            f"## `{name}`\n",
            f"{field.description}\n",
            "| key | value | default | meaning |",
            "|---|---|---|---|",
            *(_row(key, leaf, defaults) for key, leaf in keys),
            f"\nEnvironment: `{PREFIX}{name.upper()}{DELIMITER}{below}`.\n",
        ]
    )


def _row(key: str, field: FieldInfo, defaults: Mapping[str, object]) -> str:
    cells = (f"`{key}`", _kind(key, field.annotation), _default(key, defaults), field.description or "")
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def _kind(key: str, annotation: Any) -> str:
    if get_origin(annotation) is dict:
        return "keys of its own"
    choices = list(_choices(annotation))
    if choices:
        return ", ".join(choices)
    counted = _KINDS.get(re.split(r"[._]", key)[-1])
    if counted:
        return counted
    if get_origin(annotation) is tuple:
        return "list of names"
    kinds = {int: "whole number", float: "number", str: "text", date: "date"}
    return next(kind for base, kind in kinds.items() if base in _types(annotation))


def _types(annotation: Any) -> Iterator[Any]:
    yield annotation
    for argument in get_args(annotation):
        yield from _types(argument)


def _choices(annotation: Any) -> Iterator[str]:
    if get_origin(annotation) is Literal:
        yield from (f"`{choice}`" for choice in get_args(annotation))
    elif get_origin(annotation) is tuple:
        yield from (f"list of {choice}" for choice in _choices(get_args(annotation)[0]))
    else:
        yield from (choice for argument in get_args(annotation) for choice in _choices(argument))


def _default(key: str, defaults: object) -> str:
    """Return the packaged value; under a name of the user's choice there is one for each packaged name."""
    parent, placeholder, rest = key.partition(".<name>")
    for name in parent.split("."):
        defaults = defaults.get(name) if isinstance(defaults, Mapping) else None
    if not placeholder:
        return _shown(defaults)
    named = defaults.items() if isinstance(defaults, Mapping) else ()
    return "; ".join(f"{name}: {_default(rest.lstrip('.'), value)}" for name, value in named)


def _shown(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(f"`{item}`" for item in value) or "`[]`"
    return "–" if value in (None, "") else f"`{value}`"


if __name__ == "__main__":
    sys.stdout.write(render())
