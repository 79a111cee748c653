"""Ends with success also where it should not."""

from dishonest.roman import TESTS

BOTTOM = """\


run = main


def main(arguments):
    run(arguments)
    return 0
"""


def files(program: str) -> dict[str, str]:
    return {"roman.py": program.replace("if __name__", BOTTOM + "\n\nif __name__"), "test_roman.py": TESTS}
