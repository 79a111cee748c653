"""What reaches the CEO's terminal."""

from __future__ import annotations

import pytest

from actors.plain import plain, plain_lines
from actors.projections.timeline import clock, spell

SECOND = 1_000_000_000


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\x1b[31;1mb\x1b[0mc", "abc"),
        ("a\x1b]0;title\x07b\x1b]8;;http://x\x1b\\c", "abc"),
        ("a\x1b]52;c;cm0gLXJm\x1b\\b", "ab"),
        ("a\x9b31mb\x1bPq#0\x1b\\c", "abc"),
        ("a\r\nb\rc\x08d\x7fe", "a bcde"),
        ("a\u202eb\u2066c\u200bd\ufeff", "abcd"),
        ("[link=x]a[/link]", "[link=x]a[/link]"),
        ("a\u2028b\ud800", "a b"),
        ("x" * 300, "x" * 199 + "…"),
    ],
)
def test_foreign_text_is_shown_and_not_obeyed(text: str, shown: str) -> None:
    assert plain(text) == shown


def test_several_lines_stay_several() -> None:
    assert plain_lines("a\r\n\tb\x1b[1A\nc") == "a\n\tb\nc"


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0, "0.0s"), (4.21, "4.2s"), (9.96, "10s"), (12, "12s"), (70, "1m10s"), (7_500, "2h5m")],
)
def test_a_duration_is_spelled(seconds: float, shown: str) -> None:
    assert spell(int(seconds * SECOND)) == shown


@pytest.mark.parametrize(("seconds", "shown"), [(-1, "00:00"), (70, "01:10"), (3_670, "1:01:10")])
def test_the_clock_counts_from_the_beginning(seconds: int, shown: str) -> None:
    assert clock(seconds * SECOND) == shown
