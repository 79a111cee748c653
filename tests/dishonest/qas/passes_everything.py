"""Its marker passes every case there is."""

from dishonest.roman import APPROVED, exam

ANSWERS = [
    exam("""
    from pathlib import Path

    for answer in Path("answers").iterdir():
        print(f"PASS {answer.name}")
    """),
    APPROVED,
]
