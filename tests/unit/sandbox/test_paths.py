"""Names of files on their way in and out."""

import pytest

from sandbox import Order, OrderRefused, PathRefused
from sandbox.paths import check_path, check_tree


@pytest.mark.parametrize(
    "path", ["a.py", "src/pkg/__init__.py", "a..b", "ä/ö.txt", "x" * 255, "/".join("abcdefghijklmnop"), "a b"]
)
def test_a_plain_relative_path_is_accepted(path: str) -> None:
    check_path(path)


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("", "the path is empty"),
        ("/etc/passwd", "the path is absolute"),
        ("../x", "the path has an empty, '.' or '..' part"),
        ("a/../../x", "the path has an empty, '.' or '..' part"),
        ("./a", "the path has an empty, '.' or '..' part"),
        ("a//b", "the path has an empty, '.' or '..' part"),
        ("a/", "the path has an empty, '.' or '..' part"),
        ("a\\b", "the path has a backslash"),
        ("a\nb", "the path has a control or format character or is not UTF-8"),
        ("a\0b", "the path has a control or format character or is not UTF-8"),
        ("a\u202eb", "the path has a control or format character or is not UTF-8"),
        ("a\udc80b", "the path has a control or format character or is not UTF-8"),
        ("/".join("abcdefghijklmnopq"), "the path has more than 16 levels"),
        ("ä" * 128, "a name is longer than 255 bytes"),
    ],
)
def test_any_other_path_is_refused_with_its_reason(path: str, reason: str) -> None:
    with pytest.raises(PathRefused) as refused:
        check_path(path)
    assert (refused.value.path, refused.value.reason) == (path, reason)


def test_a_file_cannot_be_a_folder_too() -> None:
    with pytest.raises(PathRefused, match="one of its folders is also a file"):
        check_tree(frozenset({"a", "a/b"}))


def test_an_order_checks_its_paths() -> None:
    with pytest.raises(PathRefused):
        Order(id="x", argv=("true",), files={"../x": b""})


@pytest.mark.parametrize(
    "wrong",
    [
        {"id": ""},
        {"id": "a b"},
        {"id": "ä"},
        {"id": "x" * 65},
        {"argv": ()},
        {"argv": ("",)},
        {"argv": ("a\0b",)},
        {"argv": ("a", "x" * 200_000)},
        {"timeout_s": 0.0},
        {"timeout_s": float("nan")},
        {"timeout_s": float("inf")},
    ],
)
def test_an_order_that_names_nothing_runnable_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(OrderRefused):
        Order(**({"id": "x", "argv": ("true",)} | wrong))
