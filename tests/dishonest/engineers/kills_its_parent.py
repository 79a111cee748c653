"""Kills whoever started it."""

from dishonest.roman import TESTS

TOP = """\
import os
import signal
import sys

if "unittest" not in sys.modules and os.getppid() > 1:
    os.kill(os.getppid(), signal.SIGKILL)

"""


def files(program: str) -> dict[str, str]:
    return {"roman.py": TOP + program, "test_roman.py": TESTS}
