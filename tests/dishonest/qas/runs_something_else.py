"""Its cases run no work at all."""

from dishonest.roman import APPROVED, case, exam

ANSWERS = [
    exam(
        """
        from pathlib import Path

        for answer in Path("answers").iterdir():
            good = (answer / "stdout").read_text() == f"{answer.name}\\n"
            print(f"PASS {answer.name}" if good else f"FAIL {answer.name}")
        """,
        cases=[case("one", "-c", "print('one')"), case("two", "-c", "print('two')")],
    ),
    APPROVED,
]
