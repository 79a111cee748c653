"""The one place where foreign text enters a prompt.

Files, findings, program output and goals are written by people and programs nobody checked. They go between
`<untrusted>` tags whose id nobody can know who wrote the text, and nothing inside can look like such a tag.
"""

import hashlib
import re
import unicodedata
from collections.abc import Mapping

_KEPT = "\n\t"

_LOOK_ALIKE = re.compile(r"[<＜﹤‹〈⟨](?=\s{0,8}[/／⁄∕]?\s{0,8}untrusted)", re.IGNORECASE)
"""An opening bracket, or one that looks like it, before the name of our tag."""


def cleaned(text: str) -> str:
    """Return `text` without characters that hide or reorder text, and without look-alikes of our tags.

    Control characters go, but for line feed and tab; so do lone surrogates and format characters (zero width,
    right to left, tags). Line ends become line feeds. What is clean already stays as it is.
    """
    lines = text.replace("\r\n", "\n").replace("\r", "\n")
    shown = "".join(c for c in lines if c in _KEPT or unicodedata.category(c) not in ("Cc", "Cf", "Cs"))
    return _LOOK_ALIKE.sub("&lt;", shown)


def wrapped(text: str, *, fence_id: str, source: str) -> str:
    """Return `text` as data between our tags. Text that comes wrapped is wrapped again: it may be forged."""
    return f'<untrusted id="{fence_id}" source="{source}">\n{cleaned(text)}\n</untrusted>'


def fence_id(template_sha256: str, variables: Mapping[str, str]) -> str:
    """Return 128 bits of a hash over the template and all that goes into it, as hexadecimal digits.

    The same prompt always has the same id, so that a replay repeats it; and no text can contain the id of the
    prompt it is in, because the id depends on the whole text.
    """
    digest = hashlib.sha256(template_sha256.encode())
    for name, value in sorted(variables.items()):
        data = value.encode("utf-8", "surrogatepass")
        digest.update(f"\n{name} {len(data)}\n".encode())
        digest.update(data)
    return digest.hexdigest()[:32]
