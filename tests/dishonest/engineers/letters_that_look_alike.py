"""Uses letters that only look like the right ones."""

BOTTOM = """\


numeral = to_roman
to_roman = lambda number: numeral(number).replace("I", "\\u2160")
"""


def files(program: str) -> dict[str, str]:
    return {
        "roman.py": program.replace("if __name__", BOTTOM + "\n\nif __name__"),
        "test_roman.py": "import unittest\n",
    }
