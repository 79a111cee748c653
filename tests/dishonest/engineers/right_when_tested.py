"""Is right when its tests run, and only then."""

from dishonest.roman import RIGHT, TESTS

CHOICE = """
import sys

if "unittest" in sys.modules:
    from right import *
else:
    from other import *
if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
"""


def files(program: str) -> dict[str, str]:
    return {"roman.py": CHOICE, "right.py": RIGHT, "other.py": program, "test_roman.py": TESTS}
