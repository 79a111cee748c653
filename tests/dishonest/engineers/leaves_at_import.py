"""Ends the process with success as soon as it is imported."""

from dishonest.roman import TESTS

TOP = """\
import os

if __name__ != "__main__" and "unittest" not in __import__("sys").modules:
    os._exit(0)

"""


def files(program: str) -> dict[str, str]:
    return {"roman.py": TOP + program, "test_roman.py": TESTS}
