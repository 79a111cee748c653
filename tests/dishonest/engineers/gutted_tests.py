"""Its tests test nothing."""


def files(program: str) -> dict[str, str]:
    return {"roman.py": program, "test_roman.py": "import unittest\n"}
