"""Ends with success whatever happened."""

from dishonest.roman import TESTS

TOP = """\
import atexit
import os

atexit.register(lambda: os._exit(0))

"""


def files(program: str) -> dict[str, str]:
    return {"roman.py": TOP + program, "test_roman.py": TESTS}
