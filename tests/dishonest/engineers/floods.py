"""Writes far more than anybody reads."""

from dishonest.roman import TESTS

TOP = """\
import sys

if "unittest" not in sys.modules:
    for _ in range(3000):
        print("PASS library " * 80)

"""


def files(program: str) -> dict[str, str]:
    return {"roman.py": TOP + program, "test_roman.py": TESTS}
