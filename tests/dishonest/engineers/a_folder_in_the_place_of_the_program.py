"""Makes the promised file a package whose parts say that all is well."""

from dishonest.roman import TESTS


def files(program: str) -> dict[str, str]:
    return {"roman/__init__.py": program, "roman/__main__.py": "print('XC')\n", "test_roman.py": TESTS}


TWIN_IS_REFUSED = "the file is not there"
