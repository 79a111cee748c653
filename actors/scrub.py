"""Take secrets out of what is about to be written.

Values that were loaded are found exactly, in every form a library may have written them in: that is the rule.
Patterns of keys, tokens and passwords are a net below it, for secrets nobody told us about.
"""

import base64
import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from urllib.parse import quote, quote_plus

SCRUBBED = "[scrubbed]"

_MAX_CHARS = 65_536
"""A longer text is cut to this after scrubbing, so that no pattern works through megabytes."""

_OVERLAP = 1024
"""Read beyond the cut before cutting: a secret that lies across it is still seen whole."""

_MAX_DEPTH = 8
"""Values nested deeper are written as their text."""

_MIN_ENCODED_CHARS = 6
"""Encodings of a shorter secret would be found in ordinary words."""

_NAME = r"[\w.-]{0,40}(?:key|token|secret|password|passwd|pwd|credential|authorization)"

# No quantifier is nested in another and each has an upper bound: the work grows with the text and not faster.
_PATTERNS = (
    (re.compile(r"(?<![\w-])eyJ[\w-]{8,4096}\.[\w-]{8,8192}\.[\w-]{0,4096}"), SCRUBBED),
    (re.compile(r"-----BEGIN [^-\n]{1,40}-----[^-]{0,16384}(?:-{5,6}END [^-\n]{1,40}-{5,6})?"), SCRUBBED),
    (re.compile(r"\bS[UAOCNX][A-Z2-7]{56}\b"), SCRUBBED),
    (re.compile(r"\bsk-[\w-]{12,256}"), SCRUBBED),
    (re.compile(r"(?i)\b(bearer|basic)(\s{1,4})[\w.~+/=-]{16,4096}"), rf"\1\2{SCRUBBED}"),
    (re.compile(r"(://[^\s:/@]{0,128}:)[^\s/@]{1,256}@"), rf"\1{SCRUBBED}@"),
    (
        re.compile(rf"(?i)\b({_NAME}[\"']?\s{{0,4}}[=:]\s{{0,4}}[\"']?)[^\s\"',;&}}]{{8,4096}}"),
        rf"\1{SCRUBBED}",
    ),
)

_WORTH_A_LOOK = re.compile(r"[=:]|eyJ|-----B|S[UAOCNX][A-Z2-7]|sk-|(?i:bearer|basic)")
"""Every pattern needs one of these. Most values have none, and are done in a tenth of the time."""

_SECRET_KEY = re.compile(
    r"(?i)(?:.{0,40}[_.-])?(?:api[_-]?key|token|secret|password|passwd|authorization|cookie)"
)


_SECRET_VARIABLE = re.compile(r"(?i)(?:password|passwd|token|secret|key|credentials?)$")


class Scrubber:
    """Scrubs values for one process, which knows the secrets it was started with."""

    def __init__(self, secrets: Iterable[str]) -> None:
        forms = {form for secret in secrets if secret for form in _forms(secret)}
        longest_first = sorted(forms, key=lambda form: (-len(form), form))
        self._known = re.compile("|".join(map(re.escape, longest_first))) if forms else None

    def text(self, text: str) -> str:
        """Return `text` without secrets, cut to a bounded length."""
        if self._known is not None:
            text = self._known.sub(SCRUBBED, text)
        cut = text[: _MAX_CHARS + _OVERLAP]
        if _WORTH_A_LOOK.search(cut):
            for pattern, replacement in _PATTERNS:
                cut = pattern.sub(replacement, cut)
        if len(text) <= _MAX_CHARS:
            return cut
        return f"{cut[:_MAX_CHARS]}… [{len(text) - _MAX_CHARS} more characters]"

    def value(self, value: object, depth: int = 0) -> object:
        """Return `value` as plain JSON values without secrets; what JSON does not know becomes its text."""
        match value:
            case None | bool() | int():
                return value
            case float():
                return value if math.isfinite(value) else str(value)
            case str():
                return self.text(value)
            case dict() if depth < _MAX_DEPTH:
                return {self.text(str(key)): self._field(key, item, depth) for key, item in value.items()}
            case list() | tuple() | set() | frozenset() if depth < _MAX_DEPTH:
                return [self.value(item, depth + 1) for item in value]
            case _:
                return self.text(repr(value))

    def _field(self, key: object, value: object, depth: int) -> object:
        if isinstance(value, str) and _SECRET_KEY.fullmatch(str(key)):
            return SCRUBBED
        return self.value(value, depth + 1)


def secrets_in(environ: Mapping[str, str]) -> set[str]:
    """Return the values of those environment variables whose names say that they are secret."""
    return {
        value
        for name, value in environ.items()
        if _SECRET_VARIABLE.search(name) and len(value) >= _MIN_ENCODED_CHARS
    }


def _forms(secret: str) -> Iterator[str]:
    """Yield the ways in which a secret may be written: as it is, escaped, or encoded."""
    yield secret
    yield json.dumps(secret)[1:-1]
    yield json.dumps(secret, ensure_ascii=False)[1:-1]
    yield repr(secret)[1:-1]
    yield quote(secret)
    yield quote(secret, safe="")
    yield quote_plus(secret)
    if len(secret) >= _MIN_ENCODED_CHARS:
        yield from _base64_forms(secret.encode("utf-8", "surrogatepass"))


def _base64_forms(secret: bytes) -> Iterator[str]:
    """Yield the characters of a base64 text that a secret inside it fixes, at each of the three alignments.

    `user:secret` as a whole is encoded in HTTP's basic authorization, so the secret may begin anywhere.
    """
    for before in range(3):
        first = (before * 8 + 5) // 6
        last = (before + len(secret)) * 8 // 6
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            yield encode(b"\0" * before + secret).decode()[first:last]
