"""Gives the work the expected values."""

from dishonest.roman import APPROVED, CASES, EXAM

ANSWERS = [
    {**EXAM, "cases": [{**CASES[0], "inputs": {"qa_exam/x.py": "qa_exam/mark.py"}}]},
    {**EXAM, "round": 1, "cases": [{**CASES[0], "inputs": {"roman_help.py": "qa_exam/drive.py"}}]},
    APPROVED,
]
