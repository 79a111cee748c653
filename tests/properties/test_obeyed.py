"""Names that a tool on the host would obey: refused in every spelling, or said before they are written."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox import Order, PathRefused
from sandbox.obeyed import obeyed
from sandbox.paths import refusal

_HFS_IGNORES = (
    "\u200c\u200d\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u206a\u206b\u206c\u206d\u206e\u206f\ufeff"
)
_UNSEEN = _HFS_IGNORES + "\u00ad\u034f\u2060\u180b\ufe0f\U000e0100"
_WIDE = {"g": "gGｇＧ", "i": "iIıｉ", "t": "tTｔ", ".": ".．․"}


@st.composite
def spellings(draw: st.DrawFn, name: str = ".git") -> str:
    """Return a spelling of a name that some file system, somewhere, takes for it."""
    letters = [draw(st.sampled_from(_WIDE.get(letter, letter + letter.upper()))) for letter in name]
    for _ in range(draw(st.integers(0, 3))):
        letters.insert(draw(st.integers(0, len(letters))), draw(st.sampled_from(_UNSEEN)))
    form = draw(st.sampled_from(["NFC", "NFD", "NFKC", "NFKD"]))
    end = draw(st.text(st.sampled_from(". "), max_size=3))
    stream = draw(st.sampled_from(["", "::$INDEX_ALLOCATION", ":$I30:$INDEX_ALLOCATION", ":x"]))
    return unicodedata.normalize(form, "".join(letters)) + end + stream


_PLAIN = st.text(st.sampled_from("abc xyz.é"), min_size=1, max_size=6).filter(lambda name: name.strip(". "))


@given(
    st.lists(_PLAIN, max_size=3),
    spellings() | spellings(".hg") | spellings(".jj"),
    st.lists(_PLAIN, max_size=3),
)
def test_no_path_has_a_version_control_folder_in_any_spelling(
    above: list[str], spelling: str, below: list[str]
) -> None:
    for separator in ("/", "\\"):
        assert refusal(separator.join([*above, spelling, *below])) is not None


@given(
    st.lists(_PLAIN, max_size=3),
    st.sampled_from(["git~1", "GIT~1", "Git~2", "git~12", "GIT~1 ", "GIT~1..", "hg~1"]),
)
def test_the_short_names_of_windows_are_refused_too(above: list[str], spelling: str) -> None:
    assert refusal("/".join([*above, spelling, "config"])) is not None


@given(st.lists(_PLAIN, max_size=3), spellings("head"))
def test_no_file_is_the_head_of_a_bare_repository(above: list[str], spelling: str) -> None:
    assert refusal("/".join([*above, spelling])) is not None


@given(st.lists(_PLAIN, max_size=2), _PLAIN, st.lists(_PLAIN, max_size=2))
def test_no_name_can_be_taken_for_an_option(above: list[str], name: str, below: list[str]) -> None:
    assert refusal("/".join([*above, f"-{name}", *below])) is not None


@pytest.mark.parametrize(
    "path",
    [
        "git",
        "git/config",
        "x.git/config",
        ".github/workflows/test.yml",
        ".gitignore",
        ".gitattributes",
        "head/x.py",
        "src/head.py",
        "HEADER",
        "config",
        "objects/a",
        "a-b",
        "a~1",
        "digit~1",
        "hooks/pre-commit",
        "❤️.txt",
    ],
)
def test_what_only_looks_alike_is_a_name_as_any_other(path: str) -> None:
    assert refusal(path) is None


def test_a_program_gets_no_such_file() -> None:
    with pytest.raises(PathRefused, match="version control"):
        Order(id="x", argv=("true",), files={"a/.GIT /config": b""})


def test_what_a_tool_obeys_is_named_with_the_tool() -> None:
    found = obeyed(["src/a.py", ".VSCode/tasks.json", "sub/.envrc", "x.pth", "Makefile"])
    assert found == {".VSCode/tasks.json": "Visual Studio Code", "sub/.envrc": "direnv", "x.pth": "Python"}
