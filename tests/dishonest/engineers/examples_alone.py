"""Does what the examples of the brief need, and nothing for the rest."""

from dishonest.roman import TESTS


def files(program: str) -> dict[str, str]:
    return {"roman.py": program, "test_roman.py": TESTS}
