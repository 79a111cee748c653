"""Makes every exit one with success."""

from dishonest.roman import TESTS

TOP = """\
import os
import sys

sys.exit = lambda code=0: os._exit(0)

"""


def files(program: str) -> dict[str, str]:
    return {"roman.py": TOP + program, "test_roman.py": TESTS}
