"""What a terminal, a pipe, a full disk and a reader that went away get of what is printed."""

from __future__ import annotations

import ast
import contextlib
import io
import json
import os
import pty
import sys
import termios
import unicodedata
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Thread

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sources import nodes

import actors
from actors.cli import screen
from actors.plain import harmless
from actors.terminal import Terminal, unread, write_raw

CALM = settings(suppress_health_check=[HealthCheck.too_slow])
"""A slow machine is not a failure."""

OBEYED = {"Cc", "Cf", "Cs", "Zl", "Zp"}

TEXT = st.text(
    st.one_of(
        st.characters(),  # surrogates too
        st.sampled_from(
            "\x1b\x9b\x07\r\b\x7f\x85\u202e\u2066\u200b\u200d\ufeff\u2028\u2060\u061c\u034f\u3164"
        ),
        st.sampled_from("]0;[31mPq\\ab\n\t"),
    ),
    max_size=200,
)


def obeyed(text: str) -> list[str]:
    """Return what a terminal would obey, hide or reorder in a text, line breaks aside."""
    return [c for c in text if c != "\n" and (unicodedata.category(c) in OBEYED or c in "\u034f\u3164")]


@contextlib.contextmanager
def written(on_terminal: bool) -> Iterator[tuple[Terminal, Callable[[], bytes]]]:
    """Give a Terminal on a pipe or a pseudo-terminal, and what arrived at its other end."""
    if on_terminal:
        reader, fd = pty.openpty()
        modes = termios.tcgetattr(fd)
        modes[1] &= ~termios.OPOST  # the terminal driver would make \r\n of \n
        termios.tcsetattr(fd, termios.TCSANOW, modes)
    else:
        reader, fd = os.pipe()
    try:
        yield Terminal(fd, "utf-8"), lambda: os.read(reader, 65_536)
    finally:
        os.close(fd)
        os.close(reader)


@CALM
@given(TEXT)
def test_no_text_is_obeyed_and_none_is_hidden(text: str) -> None:
    shown = harmless(text)

    assert obeyed(shown) == []
    assert harmless(shown) == shown
    ordinary = "".join(c for c in text if 32 <= ord(c) < 127)
    rest = iter(shown)
    assert all(character in rest for character in ordinary)
    assert len(shown) >= len(text.replace("\r\n", "\n"))


@CALM
@given(
    st.text(st.characters(min_codepoint=32, max_codepoint=126)) | st.sampled_from(["größer 你好 ✔ é €\n⏸ …"])
)
def test_ordinary_text_is_left_as_it_is(text: str) -> None:
    assert harmless(text) == text


WAYS: list[Callable[[str], object]] = [
    print,
    screen.out,
    lambda text: screen.out(text, "green"),
    lambda text: screen.out_table(["A", "B"], [(text, text), ("b", text)]),
    lambda text: screen.out_pairs({"a": text}),
    lambda text: screen.out_json({"a": text, text: 1}),
    lambda text: [sys.stdout.write(piece) for piece in text],  # an escape sequence in pieces
    lambda text: write_raw(sys.stdout, text.encode("utf-8", "surrogatepass")),
]


@pytest.mark.parametrize("way", WAYS)
@CALM
@given(TEXT)
def test_nothing_that_is_printed_in_any_way_moves_a_terminal(way: Callable[[str], object], text: str) -> None:
    with written(on_terminal=True) as (terminal, read), contextlib.redirect_stdout(terminal):
        way(f"a{text}")
        seen = read().decode()

    assert obeyed(seen.removeprefix("\x1b[32m").replace("\x1b[0m\n", "\n")) == []


@CALM
@given(TEXT)
def test_json_stays_json_and_says_exactly_what_it_said(text: str) -> None:
    with written(on_terminal=False) as (terminal, read), contextlib.redirect_stdout(terminal):
        screen.out_json({"a": text})
        seen = read().decode()

    assert seen.isascii()
    assert obeyed(seen) == []
    assert json.loads(seen) == {"a": text}


@CALM
@given(st.binary(min_size=1, max_size=300))
def test_raw_bytes_go_through_a_pipe_as_they_are(content: bytes) -> None:
    with written(on_terminal=False) as (terminal, read):
        write_raw(terminal, content)
        assert read() == content


def test_a_style_shows_on_a_terminal_only_and_only_if_wanted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    with written(on_terminal=True) as (terminal, read):
        terminal.styled("a\x1b[0m", "red")
        assert read() == b"\x1b[31ma\\u001b[0m\x1b[0m\n"
        monkeypatch.setenv("NO_COLOR", "1")
        terminal.styled("a", "red")
        assert read() == b"a\n"
    with written(on_terminal=False) as (terminal, read):
        terminal.styled("a", "red")
        assert read() == b"a\n"


def test_what_an_encoding_lacks_is_a_question_mark() -> None:
    reader, fd = os.pipe()
    Terminal(fd, "latin-1").write("é — ✔\n")
    assert os.read(reader, 100) == b"\xe9 ? ?\n"
    os.close(fd)
    os.close(reader)


def test_a_reader_that_left_is_remembered_and_interrupts_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    reader, fd = os.pipe()
    terminal = Terminal(fd, "utf-8")
    monkeypatch.setattr(sys, "stdout", terminal)
    terminal.write("a")
    assert (terminal.lost, unread()) == ("", "")
    os.close(reader)
    terminal.write("b")
    assert terminal.lost == unread() == "nobody reads stdout any more"
    os.close(fd)


def test_that_a_reader_left_is_seen_before_anything_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    reader, fd = os.pipe()
    monkeypatch.setattr(sys, "stdout", Terminal(fd, "utf-8"))
    os.close(reader)
    assert unread() == "nobody reads stdout any more"
    os.close(fd)


def test_a_full_disk_is_remembered_and_interrupts_nothing() -> None:
    fd = os.open("/dev/full", os.O_WRONLY)
    terminal = Terminal(fd, "utf-8")
    assert terminal.write("a") == 1
    assert terminal.lost == "stdout took no more (No space left on device)"
    os.close(fd)


def test_a_stream_that_does_not_block_gets_all_of_a_long_text() -> None:
    reader, fd = os.pipe()
    os.set_blocking(fd, False)
    read = io.BytesIO()

    def write() -> None:
        Terminal(fd, "utf-8").write("x" * 1_000_000)
        os.close(fd)

    writer = Thread(target=write)
    writer.start()
    while content := os.read(reader, 65_536):
        read.write(content)
    writer.join()
    os.close(reader)
    assert len(read.getvalue()) == 1_000_000


def test_no_command_writes_past_the_one_writer() -> None:
    """A `sys.stdout.buffer`, a console of rich's or an `os.write(1, …)` would not be made harmless."""
    found = []
    for path in sorted(Path(actors.__path__[0]).rglob("*.py")):
        if path.name == "terminal.py":
            continue
        for node in nodes(path):
            match node:
                case ast.Attribute(attr="buffer", value=ast.Attribute(attr="stdin")):
                    pass
                case ast.Attribute(attr="__stdout__" | "__stderr__") | ast.ImportFrom(module="rich.console"):
                    found.append(f"{path}:{node.lineno}")
                case ast.Attribute(attr="buffer", value=ast.Attribute(attr="stdout" | "stderr")):
                    found.append(f"{path}:{node.lineno}")
                case ast.Call(func=ast.Attribute(attr="write"), args=[ast.Constant(value=1 | 2), *_]):
                    found.append(f"{path}:{node.lineno}")
    assert found == []


def test_logging_is_set_up_in_one_place() -> None:
    """Another set-up would print what the scrubber takes out of this one."""
    set_up = {"structlog.configure", "logging.basicConfig", "structlog.PrintLoggerFactory"}
    found = {
        path.name
        for path in Path(actors.__path__[0]).rglob("*.py")
        for node in nodes(path)
        if isinstance(node, ast.Attribute) and ast.unparse(node) in set_up
    }
    assert found == {"logs.py", "simulation.py"}  # the simulation logs nothing at all
