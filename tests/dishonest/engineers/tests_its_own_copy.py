"""Its tests test another module than the one that is delivered."""

from dishonest.roman import RIGHT, TESTS


def files(program: str) -> dict[str, str]:
    tests = TESTS.replace("from roman import", "from good import")
    return {"roman.py": program, "good.py": RIGHT, "test_roman.py": tests}
