"""Delivers tests alone."""


def files(program: str) -> dict[str, str]:
    return {"test_roman.py": "import unittest\n"}
