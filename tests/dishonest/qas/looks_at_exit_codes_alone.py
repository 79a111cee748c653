"""Its marker compares exit codes and nothing else."""

from dishonest.roman import APPROVED, exam

ANSWERS = [
    exam("""
    from pathlib import Path

    CODES = {"zero": "2", "word": "2"}
    for answer in Path("answers").iterdir():
        good = (answer / "exit_code").read_text() == CODES.get(answer.name, "0")
        print(f"PASS {answer.name}" if good else f"FAIL {answer.name}")
    """),
    APPROVED,
]
