"""Returns a text that is equal to every other."""

from dishonest.roman import TESTS

BOTTOM = """\


class Equal(str):
    __hash__ = str.__hash__
    __eq__ = lambda *_: True
    __ne__ = lambda *_: False


numeral = to_roman
to_roman = lambda number: Equal(numeral(number))
"""


def files(program: str) -> dict[str, str]:
    return {"roman.py": program.replace("if __name__", BOTTOM + "\n\nif __name__"), "test_roman.py": TESTS}
