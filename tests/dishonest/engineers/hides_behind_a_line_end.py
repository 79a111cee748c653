"""Prints the wrong numeral and tries to hide it on a terminal."""

BOTTOM = """\


numeral = to_roman
to_roman = lambda number: numeral(number) + "\\r\\x1b[2K"
"""


def files(program: str) -> dict[str, str]:
    return {
        "roman.py": program.replace("if __name__", BOTTOM + "\n\nif __name__"),
        "test_roman.py": "import unittest\n",
    }
