"""Brings the answers that the marker is to find."""

from dishonest.roman import TESTS


def files(program: str) -> dict[str, str]:
    return {
        "roman.py": program,
        "test_roman.py": TESTS,
        "answers/library/stdout": "'I'\n'XC'\n",
        "answers/library/exit_code": "0",
    }
