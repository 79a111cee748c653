"""What is kept of a program's output, and Docker's frames."""

import hashlib
import io

from hypothesis import given
from hypothesis import strategies as st

from sandbox import Stream
from sandbox.order import NO_OUTPUT
from sandbox.streams import Capture, frames


def captured(chunks: list[bytes], keep_bytes: int = 8, flood_bytes: int = 1000) -> Capture:
    capture = Capture(keep_bytes, flood_bytes, lambda: None)
    for chunk in chunks:
        capture.feed(chunk)
    return capture


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def test_output_within_the_cap_is_kept_whole() -> None:
    assert captured([b"1234", b"5678"]).stream() == Stream(
        head="12345678", tail="", total_bytes=8, sha256=digest(b"12345678"), content=b"12345678"
    )


def test_output_beyond_the_cap_keeps_both_ends() -> None:
    capture = captured([b"123", b"456789", b"abc"])
    assert capture.cut
    assert capture.stream() == Stream(
        head="1234", tail="9abc", total_bytes=12, sha256=digest(b"123456789abc")
    )


def test_no_output_is_the_constant_for_it() -> None:
    assert captured([]).stream() == NO_OUTPUT


def test_bytes_that_are_not_utf8_become_replacement_text() -> None:
    assert captured([b"a\xff\xfe\0b"]).stream().head == "a\ufffd\ufffd\0b"


def test_a_flood_is_told_once() -> None:
    told: list[str] = []
    capture = Capture(4, 10, lambda: told.append("flood"))
    for _ in range(5):
        capture.feed(b"12345")
    assert (told, capture.flooded) == (["flood"], True)


@given(st.lists(st.binary(max_size=30)), st.integers(0, 40))
def test_however_it_is_cut_into_chunks_the_ends_are_the_same(chunks: list[bytes], keep_bytes: int) -> None:
    whole = b"".join(chunks)
    assert captured(chunks, keep_bytes).stream() == captured([whole], keep_bytes).stream()


def frame(stream: int, content: bytes) -> bytes:
    return bytes([stream, 0, 0, 0]) + len(content).to_bytes(4, "big") + content


def test_frames_come_apart_by_stream() -> None:
    sent = frame(1, b"out") + frame(2, b"err") + frame(1, b"") + frame(1, b"more")
    assert list(frames(io.BytesIO(sent).read)) == [(1, b"out"), (2, b"err"), (1, b"more")]


def test_frames_that_arrive_byte_by_byte_are_the_same() -> None:
    source = io.BytesIO(frame(1, b"out"))
    received = list(frames(lambda size: source.read(1)))
    assert b"".join(chunk for _, chunk in received) == b"out"


@given(st.binary(max_size=200))
def test_any_bytes_end(noise: bytes) -> None:
    for _ in frames(io.BytesIO(noise).read):
        pass
