"""Brings a json of its own, equal to everything."""

from dishonest.roman import TESTS

JSON = """
class Any:
    __eq__ = lambda *_: True

loads = lambda *_: Any()
dumps = lambda *_: "{}"
"""


def files(program: str) -> dict[str, str]:
    return {"roman.py": program, "test_roman.py": TESTS, "json.py": JSON}
