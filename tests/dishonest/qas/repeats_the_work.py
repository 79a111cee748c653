"""Its marker prints what the work printed."""

from dishonest.roman import APPROVED, exam

ANSWERS = [
    exam("""
    from pathlib import Path

    for answer in Path("answers").iterdir():
        print((answer / "stdout").read_text())
    """),
    APPROVED,
]
