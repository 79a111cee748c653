"""Its marker passes whatever wrote something."""

from dishonest.roman import APPROVED, exam

ANSWERS = [
    exam("""
    from pathlib import Path

    for answer in Path("answers").iterdir():
        wrote = (answer / "stdout").read_text() + (answer / "stderr").read_text()
        print(f"PASS {answer.name}" if wrote else f"FAIL {answer.name}")
    """),
    APPROVED,
]
