"""How an end becomes a status."""

import pytest

from sandbox.verdict import Ending, Verdict, judge


@pytest.mark.parametrize(
    ("ending", "exit_code", "out_of_memory", "expected"),
    [
        ("exited", 0, False, Verdict("ok")),
        ("exited", 0, True, Verdict("ok", "", frozenset({"memory_bytes"}))),
        ("exited", 3, False, Verdict("failed", "exit code 3")),
        ("exited", 139, False, Verdict("failed", "ended by SIGSEGV")),
        ("exited", 255, False, Verdict("failed", "ended by exit code 255")),
        ("exited", 137, False, Verdict("killed", "ended by SIGKILL, which was not ours")),
        (
            "exited",
            137,
            True,
            Verdict("out_of_memory", "out of memory; exit code 137", frozenset({"memory_bytes"})),
        ),
        (
            "memory",
            None,
            False,
            Verdict("out_of_memory", "killed: it used too much memory", frozenset({"memory_bytes"})),
        ),
        ("timeout", None, False, Verdict("timeout", "killed after 2.5 s", frozenset({"timeout_s"}))),
        (
            "flood",
            None,
            False,
            Verdict("output_limit", "killed: it wrote too much output", frozenset({"flood_bytes"})),
        ),
        ("gone", None, False, Verdict("killed", "its container or process tree was ended from outside")),
    ],
)
def test_an_end_is_judged(
    ending: Ending, exit_code: int | None, out_of_memory: bool, expected: Verdict
) -> None:
    assert judge(ending, exit_code, out_of_memory=out_of_memory, timeout_s=2.5) == expected
