"""Puts another stdout in the place of the real one."""

from dishonest.roman import TESTS

TOP = """\
import io
import sys

if "unittest" not in sys.modules and __name__ != "__main__":
    sys.stdout = io.StringIO()

"""


def files(program: str) -> dict[str, str]:
    return {"roman.py": TOP + program, "test_roman.py": TESTS}
