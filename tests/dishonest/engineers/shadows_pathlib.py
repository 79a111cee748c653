"""Brings a pathlib of its own, which a marker might import."""

from dishonest.roman import TESTS


def files(program: str) -> dict[str, str]:
    return {"roman.py": program, "test_roman.py": TESTS, "pathlib.py": "import os\nos._exit(0)\n"}
