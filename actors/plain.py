"""Foreign text made harmless: what a terminal would obey or hide is written as its code, `\\u001b`.

Models, programs and whoever has an actor's login write texts, names and log lines. They are shown, never
obeyed: control characters (C0, C1, DEL), what reorders text, and what has no width are spelled out.
"""

from __future__ import annotations

import re
import unicodedata

_OBEYED = frozenset({"Cc", "Cf", "Cs", "Cn", "Zl", "Zp"})
"""Controls, formats (bidi and zero-width are among them), surrogates, unassigned, line and paragraph ends."""

_BLANK = frozenset(
    {0x034F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x3164, 0xFFA0, *range(0x180B, 0x1810), *range(0xFE00, 0xFE0E)}
    | set(range(0xE0100, 0xE01F0))
)
"""Letters and marks that show nothing. Not U+FE0E and U+FE0F, which choose how an emoji looks."""

_TAB = " " * 4


class _Shown(dict[int, str]):
    """How each character is shown, found out when it is first met."""

    def __missing__(self, code: int) -> str:
        self[code] = shown = _shown(code)
        return shown


def _shown(code: int) -> str:
    character = chr(code)
    if character == "\n":
        return character
    if character == "\t":
        return _TAB
    if code not in _BLANK and unicodedata.category(character) not in _OBEYED:
        return character
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"


_SHOWN = _Shown()


def harmless(text: str) -> str:
    """Return text in which nothing but line breaks is obeyed; doing it again changes nothing."""
    if text.isascii() and text.isprintable():
        return text
    return text.replace("\r\n", "\n").translate(_SHOWN)


_ESCAPES = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]"  # CSI: colours, cursor
    r"|\x1b[\]PX^_][^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)?"  # OSC, DCS, …: titles, clipboard, links
    r"|\x1b[ -/]*[0-~]?"
    r"|\x9b[0-?]*[ -/]*[@-~]"
)
_HIDDEN = frozenset({"Cc", "Cf", "Cs"})
_BREAKS = frozenset({"Zl", "Zp"})


def plain(text: str, limit: int = 200) -> str:
    """Return foreign text as one harmless line of at most `limit` characters."""
    line = " ".join(_stripped(text).split())
    return line if len(line) <= limit else line[: max(0, limit - 1)] + "…"


def plain_lines(text: str) -> str:
    """Return foreign text without escape sequences and control characters; line breaks and tabs stay."""
    return _stripped(text)


def _stripped(text: str) -> str:
    return "".join(map(_character, _ESCAPES.sub("", text.replace("\r\n", "\n"))))


def _character(character: str) -> str:
    if character in "\n\t":
        return character
    category = unicodedata.category(character)
    if category in _BREAKS:
        return " "
    return "" if category in _HIDDEN else character
