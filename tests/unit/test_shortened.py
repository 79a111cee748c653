"""What a prompt shows of a long text."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from actors.roles.evidence import shortened


@settings(max_examples=50)
@given(st.text(), st.integers(200, 2_000), st.integers(1, 50))
def test_a_text_is_cut_to_whole_characters_and_says_by_how_much(text: str, most: int, times: int) -> None:
    long = text.replace("\ud800", "") * times
    cut = shortened(long, most)
    assert len(cut.encode()) <= most
    if cut != long:
        kept, _, note = cut.rpartition("\n")
        assert long.startswith(kept)
        assert f"({len(long.encode()) - len(kept.encode())} more bytes" in note


def test_lines_stay_whole_where_there_are_any() -> None:
    assert shortened("a line\n" * 100, 300).splitlines()[-2:] == ["a line", "(505 more bytes are not shown)"]
    assert shortened("x" * 1_000, 300).startswith("x" * 200)
