"""Leaves a process behind that goes on writing."""

from dishonest.roman import TESTS

TOP = """\
import os
import sys
import time

if "unittest" not in sys.modules and os.fork() == 0:
    os.setsid()
    for _ in range(20):
        os.write(1, b"PASS library\n")
        time.sleep(0.05)
    os._exit(0)

"""


def files(program: str) -> dict[str, str]:
    return {"roman.py": TOP + program, "test_roman.py": TESTS}
