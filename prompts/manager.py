"""Fills in the prompts. What a model is told is recorded by name, version and hash, never whole."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from prompts import fence, template

_NONCE = re.compile(r"[0-9A-Za-z]{8,64}", re.ASCII)


class PromptError(Exception):
    """A prompt cannot be filled in as asked: a fault of the caller, nothing was sent to a model."""


class UnknownPrompt(PromptError):
    """There is no prompt for this role and turn."""

    def __init__(self, role: str, turn: str, known: tuple[str, ...]) -> None:
        self.role, self.turn, self.known = role, turn, known
        super().__init__(f"no prompt {role}.{turn}; there are {', '.join(known)}")


class MissingVariables(PromptError):
    """The prompt needs variables that were not given. None is optional; what is empty is given as ""."""

    def __init__(self, name: str, variables: tuple[str, ...]) -> None:
        self.name, self.variables = name, variables
        super().__init__(f"prompt {name} lacks {', '.join(variables)}")


class UnknownVariables(PromptError):
    """Variables were given that the prompt does not have."""

    def __init__(self, name: str, variables: tuple[str, ...]) -> None:
        self.name, self.variables = name, variables
        super().__init__(f"prompt {name} has no {', '.join(variables)}")


class OversizedVariables(PromptError):
    """The variables are too big together; `largest` is where to cut."""

    def __init__(self, name: str, size_bytes: int, max_bytes: int, largest: str) -> None:
        self.name, self.size_bytes, self.max_bytes, self.largest = name, size_bytes, max_bytes, largest
        super().__init__(
            f"prompt {name} takes {max_bytes} bytes, got {size_bytes}, most of them in {largest}"
        )


class BadNonce(PromptError):
    """A nonce is not 8 to 64 letters and digits, so it could not mark where a file begins and ends."""

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(f"prompt {name}: a nonce must be 8 to 64 ASCII letters and digits")


@dataclass(frozen=True)
class Prompt:
    """What one call tells the model, and which file (by its hash) that came from."""

    name: str
    version: int
    sha256: str
    system: str
    user: str


class PromptManager:
    """The prompts of one folder, all read and checked at once and then never again."""

    def __init__(self, folder: Path | None = None) -> None:
        """Read every `*.md` of `folder`, by default the prompts that come with the package.

        Raises:
            PromptFileError: a file is not in the form `prompts.template` describes.
        """
        paths = sorted((folder or Path(__file__).parent).glob("*.md"))
        self._files = {file.name: file for file in map(template.read, paths)}

    @property
    def names(self) -> tuple[str, ...]:
        """The prompts there are, as `role.turn`."""
        return tuple(self._files)

    def variables(self, role: str, turn: str) -> frozenset[str]:
        """Return the variables that `render` wants for this prompt.

        Raises:
            UnknownPrompt: there is none for this role and turn.
        """
        return self._file(role, turn).variables

    def render(self, role: str, turn: str, variables: Mapping[str, str]) -> Prompt:
        """Fill in a prompt. The same arguments always give the same prompt.

        Every variable is cleaned, and all but those the file declares trusted are wrapped as foreign text.
        A `$` in a value is just a `$`.

        Raises:
            PromptError: the prompt, a variable or a size is not as declared; the subclass says which.
        """
        file = self._file(role, turn)
        _check(file, variables)
        fence_id = fence.fence_id(file.sha256, variables)
        filled = {
            name: fence.cleaned(value)
            if name in file.trusted
            else fence.wrapped(value, fence_id=fence_id, source=name)
            for name, value in variables.items()
        }
        return Prompt(
            name=file.name,
            version=file.version,
            sha256=file.sha256,
            system=file.system,
            user=file.user.substitute(filled),
        )

    def _file(self, role: str, turn: str) -> template.PromptFile:
        file = self._files.get(f"{role}.{turn}")
        if file is None:
            raise UnknownPrompt(role, turn, self.names)
        return file


def _check(file: template.PromptFile, variables: Mapping[str, str]) -> None:
    if missing := file.variables - variables.keys():
        raise MissingVariables(file.name, tuple(sorted(missing)))
    if unknown := variables.keys() - file.variables:
        raise UnknownVariables(file.name, tuple(sorted(unknown)))
    sizes = {name: len(value.encode("utf-8", "surrogatepass")) for name, value in variables.items()}
    if sum(sizes.values()) > file.max_bytes:
        largest = max(sizes, key=lambda name: (sizes[name], name))
        raise OversizedVariables(file.name, sum(sizes.values()), file.max_bytes, largest)
    if "nonce" in variables and not _NONCE.fullmatch(variables["nonce"]):
        raise BadNonce(file.name)
