"""Is right the first times it is asked, and not after that."""

from dishonest.roman import RIGHT, TESTS


def files(program: str) -> dict[str, str]:
    twice = """
import right

asked = []
other = to_roman


def to_roman(number):
    asked.append(number)
    return (right.to_roman if len(asked) < 2 else other)(number)


if __name__"""
    return {"roman.py": program.replace("if __name__", twice), "right.py": RIGHT, "test_roman.py": TESTS}
