"""The task that everybody in this folder is given: what is right, what is wrong, and how it is examined."""

from __future__ import annotations

from textwrap import dedent
from typing import Any

BRIEF = (
    "Write roman.py. `to_roman(number: int) -> str` returns the Roman numeral of a number from 1 to 3999, "
    "and raises ValueError for any other. `python3 roman.py NUMBER` prints the numeral; if NUMBER is no such "
    "number it prints one line to stderr, nothing to stdout, and exits with code 2. For example 9 is IX "
    "and 2024 is MMXXIV. Write test_roman.py with unittest."
)
ACCEPTANCE = ["python3", "-m", "unittest", "test_roman"]
PLAN: dict[str, Any] = {
    "turn": "plan",
    "tasks": [{"title": "Roman numerals", "brief": BRIEF, "acceptance": ACCEPTANCE, "outputs": ["roman.py"]}],
}

RIGHT = dedent(
    '''\
    """Write numbers as Roman numerals: python3 roman.py NUMBER"""

    import sys

    PAIRS = (
        (1000, "M"), (900, "CM"), (500, "D"), (400, "CD"), (100, "C"), (90, "XC"),
        (50, "L"), (40, "XL"), (10, "X"), (9, "IX"), (5, "V"), (4, "IV"), (1, "I"),
    )


    def to_roman(number):
        if not 1 <= number <= 3999:
            raise ValueError(f"{number} has no Roman numeral")
        text = ""
        for value, sign in PAIRS:
            text += sign * (number // value)
            number %= value
        return text


    def main(arguments):
        try:
            (word,) = arguments
            print(to_roman(int(word)))
        except ValueError as error:
            print(f"roman: {error}", file=sys.stderr)
            return 2
        return 0


    if __name__ == "__main__":
        sys.exit(main(sys.argv[1:]))
    '''
)

WRONG = RIGHT.replace('(900, "CM"), ', "").replace('(400, "CD"), ', "").replace('(90, "XC"),', "")
"""Writes 90 as LXXXX: plausible, and right for what the brief gives as examples."""

TESTS = dedent(
    """\
    import unittest

    from roman import to_roman


    class RomanTest(unittest.TestCase):
        def test_examples(self):
            self.assertEqual(to_roman(9), "IX")
            self.assertEqual(to_roman(2024), "MMXXIV")

        def test_refuses(self):
            self.assertRaises(ValueError, to_roman, 0)
    """
)

DRIVE = dedent(
    """\
    import sys

    sys.path.insert(0, ".")
    from roman import to_roman

    for number in map(int, sys.argv[1:]):
        try:
            print(repr(to_roman(number)))
        except ValueError:
            print("ValueError")
    """
)

MARK = dedent(
    """\
    from pathlib import Path

    EXPECTED = {
        "library": ("0", "'I'\\n'XC'\\n'CD'\\n'CMXCIX'\\n'MCMXCIV'\\n'MMMCMXCIX'\\n"),
        "refuses": ("0", "ValueError\\nValueError\\nValueError\\n"),
        "prints": ("0", "XLIV\\n"),
        "year": ("0", "MCMXC\\n"),
        "zero": ("2", ""),
        "word": ("2", ""),
        "spare": ("0", "'DCCCXC'\\n'IV'\\n'XCIX'\\n"),
    }
    for answer in sorted(Path("answers").iterdir()):
        name, wanted = answer.name, EXPECTED[answer.name]
        parts = [(answer / part).read_bytes() for part in ("exit_code", "stdout")]
        got = tuple(part.decode("utf-8", "replace") for part in parts)
        lines = len((answer / "stderr").read_bytes().splitlines())
        good = got == wanted and (wanted[0] == "0" or lines == 1)
        print(f"PASS {name}" if good else f"FAIL {name}: expected {wanted!r}, got {got!r}"[:110])
    """
)


def case(name: str, *argv: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "argv": ["python3", *argv], **more}


def driven(name: str, *numbers: str, **more: Any) -> dict[str, Any]:
    inputs = {"qa_exam/drive.py": "qa_exam/drive.py"}
    return case(name, "qa_exam/drive.py", *numbers, inputs=inputs, **more)


CASES = [
    driven("library", "1", "90", "400", "999", "1994", "3999"),
    driven("refuses", "0", "-3", "4000"),
    case("prints", "roman.py", "44"),
    case("year", "roman.py", "1990"),
    case("zero", "roman.py", "0"),
    case("word", "roman.py", "ten"),
    driven("spare", "890", "4", "99", spare=True),
]

EXAM: dict[str, Any] = {
    "turn": "exam",
    "cases": CASES,
    "marker": ["python3", "qa_exam/mark.py"],
    "files": {"qa_exam/drive.py": DRIVE, "qa_exam/mark.py": MARK},
}

APPROVED: dict[str, Any] = {"turn": "judge", "verdict": "approved", "reason": "All is well."}


def exam(mark: str, **more: Any) -> dict[str, Any]:
    """Return the honest exam with another marker."""
    files = {"qa_exam/drive.py": DRIVE, "qa_exam/mark.py": dedent(mark).lstrip("\n")}
    return {**EXAM, "files": files, **more}


def code(files: dict[str, str], **more: Any) -> dict[str, Any]:
    return {"turn": "code", "files": files, **more}
