"""One prompt file: front matter, what the model is, what it is asked.

---
name: engineer.code
role: engineer
turn: code
version: 1
variables: [brief, nonce]       all of them must be given, and each is used
trusted: [nonce]                the others are wrapped as foreign text
max_bytes: 65536                most UTF-8 bytes of all variables together
---
<!-- system -->
the same for every call, so that a provider can cache it
<!-- user -->
$brief and $nonce; `$$` is a dollar sign
"""

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from string import Template

_FILE = re.compile(
    r"---\n(?P<front>.*?)\n---\n<!-- system -->\n(?P<system>.*?)\n<!-- user -->\n(?P<user>.*)", re.DOTALL
)
_FIELD = re.compile(r"(?P<key>[a-z_]+): (?P<value>\S.*)")
_LIST = re.compile(r"\[(?P<items>[a-z_]+(?:, [a-z_]+)*)?\]")
_KEYS = {"name", "role", "turn", "version", "variables", "trusted", "max_bytes"}


class PromptFileError(Exception):
    """A prompt file is not in the form above: a fault of the package, found when it is loaded."""

    def __init__(self, path: Path, problem: str) -> None:
        self.path = path
        self.problem = problem
        super().__init__(f"{path.name}: {problem}")


@dataclass(frozen=True)
class PromptFile:
    """A prompt file that was read and found in order."""

    name: str
    version: int
    sha256: str
    variables: frozenset[str]
    trusted: frozenset[str]
    max_bytes: int
    system: str
    user: Template


def read(path: Path) -> PromptFile:
    """Read one prompt file.

    Raises:
        PromptFileError: it is not in the form described above, its file has another name than it says, or its
            variables are not exactly those of its user part.
    """
    raw = path.read_bytes()
    parts = _FILE.fullmatch(raw.decode("utf-8"))
    if parts is None:
        raise PromptFileError(path, "wants front matter, then <!-- system -->, then <!-- user -->")
    front = _front_matter(path, parts["front"])
    file = PromptFile(
        name=front["name"],
        version=_number(path, front, "version"),
        sha256=hashlib.sha256(raw).hexdigest(),
        variables=_names(path, front, "variables"),
        trusted=_names(path, front, "trusted"),
        max_bytes=_number(path, front, "max_bytes"),
        system=_system(path, parts["system"]),
        user=Template(parts["user"].strip()),
    )
    if not f"{file.name}.md" == f"{front['role']}.{front['turn']}.md" == path.name:
        raise PromptFileError(path, "name, role.turn and the file's name differ")
    _check_variables(path, file)
    return file


def _front_matter(path: Path, text: str) -> dict[str, str]:
    front: dict[str, str] = {}
    for line in text.splitlines():
        field = _FIELD.fullmatch(line)
        if field is None or field["key"] not in _KEYS or field["key"] in front:
            raise PromptFileError(path, f"cannot use the front matter line {line!r}")
        front[field["key"]] = field["value"]
    if missing := _KEYS - front.keys():
        raise PromptFileError(path, f"front matter lacks {', '.join(sorted(missing))}")
    return front


def _number(path: Path, front: dict[str, str], key: str) -> int:
    if not re.fullmatch(r"[1-9][0-9]{0,8}", front[key]):
        raise PromptFileError(path, f"{key} must be a whole number above 0, not {front[key]}")
    return int(front[key])


def _names(path: Path, front: dict[str, str], key: str) -> frozenset[str]:
    written = _LIST.fullmatch(front[key])
    if written is None:
        raise PromptFileError(path, f"{key} must be a list of names such as [brief, files], not {front[key]}")
    names = written["items"].split(", ") if written["items"] else []
    if len(set(names)) != len(names):
        raise PromptFileError(path, f"{key} has a name twice")
    return frozenset(names)


def _system(path: Path, text: str) -> str:
    template = Template(text.strip())
    if not template.is_valid() or template.get_identifiers():
        raise PromptFileError(path, "the system part must have no variables")
    return template.substitute()


def _check_variables(path: Path, file: PromptFile) -> None:
    if not file.user.is_valid():
        raise PromptFileError(path, "the user part has a $ that is neither a variable nor $$")
    used = frozenset(file.user.get_identifiers())
    if used != file.variables:
        names = ", ".join(sorted(used ^ file.variables))
        raise PromptFileError(path, f"declared or used, but not both: {names}")
    if not file.trusted <= file.variables:
        raise PromptFileError(path, f"trusted, but no variable: {', '.join(sorted(file.trusted - used))}")
