"""How deep a JSON text is nested, found without decoding it. Pure."""

from __future__ import annotations

MAX_DEPTH = 64
"""Deeper nesting is refused before decoding, so that no body can exhaust a decoder's stack."""


def depth_of(body: bytes) -> int:
    """Return how deep a JSON text is nested, without decoding it; brackets in strings do not count."""
    if body.count(b"[") + body.count(b"{") <= MAX_DEPTH:
        return 0
    depth = deepest = 0
    in_string = escaped = False
    for byte in body:
        if escaped:
            escaped = False
        elif in_string:
            escaped = byte == 0x5C
            in_string = byte != 0x22
        elif byte == 0x22:
            in_string = True
        elif byte in b"[{":
            depth += 1
            deepest = max(deepest, depth)
        elif byte in b"]}":
            depth -= 1
    return deepest
